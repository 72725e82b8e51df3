"""Verdicts on market data and what follows from them: each datum is judged before it enters any state.

Knows what a believable datum is, by symbol and stream, and for how long a symbol is treated with care after one
that was not. Knows no order and no position: what conservative mode and a halt mean is up to the risk gate.

Streams of a symbol, and the verdicts that apply to each (every one against that stream's own past):

=============  =====  =========  =======  =====  =======  ===========  =========  ==============
rows           STALE  BAD_PRICE  OUTLIER  SPIKE  CROSSED  WIDE_SPREAD  ONE_SIDED  VOLUME (both)
=============  =====  =========  =======  =====  =======  ===========  =========  ==============
TRADE                 x          x        x                                       by minute
TOUCH          x      x          x        x      x        x
depth run      x                 x        x      x        x            x
MARK           x      x          x        x
CANDLE         x      x          x        x                                       by bar
CANDLE_OPEN           x                   x
MARK_CANDLE    x      x          x        x
=============  =====  =========  =======  =====  =======  ===========  =========  ==============

Touch and depth are one stream, BOOK: both tell the mid. A trade that was no market trade (word f), a candle that has
not closed, and every other row are not judged. All arithmetic is on integers, products in 128 bits.

STALE       Nothing of a stream for longer than its limit while rows of other streams, of any symbol, go on; for bars
            the limit is in intervals and a late bar counts by itself. Trades are never stale: no trade is no fault.
            Every row looks at the streams of its own symbol and, in turn, of one other, so silence is noticed.
BAD_PRICE   Not positive, more than 2**50 ticks or 1e10, a quantity below 0 or above 2**50 lots; a bar whose high and
            low do not hold its open and close, or without an interval.
OUTLIER     0.6745 * |x - median| / MAD > threshold (Iglewicz, Hoaglin: How to Detect and Handle Outliers, 1993; the
            constant is the normal's 0.75 quantile) over the stream's last 100 accepted prices without x, from 20 on.
            Median and MAD are exact: the mean of the middle two of an even count. MAD counts as at least one tick and
            at least a share of the median: in a market that stands still MAD is zero, and one tick would be an outlier.
            The score supposes independent draws, and prices wander: so more than half of the way from the median must
            have been made in this one step from the last accepted price, or every breakout would be an outlier.
SPIKE       More than a share away from the stream's last accepted price.
CROSSED     Bid at or above ask. The core's book cannot be unsorted; a crossed one gives itself up.
WIDE_SPREAD Spread above a share of the mid.
ONE_SIDED   |bids - asks| / (bids + asks) of the top five levels of each side above a share, or one side empty, at
            every judged run for `one_sided_ns` on end: for an instant the top five ticks of a liquid book often are.
VOLUME_*    A bar's lots, or the lots of a UTC minute of trades, against the mean of the 20 before: a spike as soon as
            the minute exceeds it, a drop when the minute is over. A mean of zero judges nothing.

Policies. WARN counts and alarms. CONSERVATIVE: smaller and passive only, until the symbol was clear of such data for
`conservative_ns`. HALT_SYMBOL: no entries until it was clean for `clean_ns`. In candle runs both last at least one bar.
DISCARD: the datum does not enter state; only for prices. A bad price and a crossed touch never enter, whatever the
policy.

A true crash is an outlier and a spike. So under DISCARD a suspicious price is held back only as long as nothing
confirms it, and the symbol is conservative either way. It is accepted when
1. the datum held back before it in its stream lies nearer to it than the last accepted price does: two in a row;
2. or another stream of the symbol, fresh (bars: of the same stamp), lies nearer to it than to the last accepted price;
3. or it is a mark or a bar, and no fresh stream says otherwise: these are too far apart to wait for the next one.
What is held back is gone when the next one comes: the one that confirms it takes its place. A depth run is judged when
it is applied and cannot be discarded, so for it DISCARD only means CONSERVATIVE; it confirms for the others. Meanwhile
`worse_e8` values a position at the mark held back if that is worse: losses are never judged on the kinder price.
"""
from libc.stdint cimport int64_t, uint8_t, uint64_t

from core_ext.book cimport Book
from core_ext.types cimport Instruments, event_t


cpdef enum Verdict:
    # Bit numbers in a set of verdicts, journalled in an alarm: append, never renumber. Bit 0 says that it is discarded.
    STALE = 1
    BAD_PRICE = 2
    OUTLIER = 3
    SPIKE = 4
    CROSSED = 5
    WIDE_SPREAD = 6
    ONE_SIDED = 7
    VOLUME_SPIKE = 8
    VOLUME_DROP = 9


cpdef enum Policy:
    WARN = 0
    CONSERVATIVE = 1
    HALT_SYMBOL = 2
    DISCARD = 3


cdef enum:
    DISCARDED = 1          # the bit of a datum that must not enter state
    VERDICTS = 10          # numbers of verdicts, 0 counts what was discarded
    WINDOW = 100
    VOLUMES = 20
    BEGUN = 32             # two symbols with every verdict are 18


cdef enum Lane:
    # The streams of a symbol.
    TRADES = 0
    BOOK = 1
    MARKS = 2
    BARS = 3
    MARK_BARS = 4
    LANES = 5


cdef struct window_t:
    # Twice each price at 1e-8, so that a mid between two ticks is exact.
    int64_t ring[WINDOW]       # in order of arrival
    int64_t sorted[WINDOW]
    int size
    int head                   # the oldest, once it is full


cdef struct lane_t:
    int64_t ts                 # of the last accepted datum
    int64_t last               # its price, twice, 1e-8; 0: none yet
    int64_t held               # the price held back after it, 0: none
    int64_t interval_ns        # of bars
    int64_t limit_ns           # silence beyond this is stale, 0: never
    uint8_t silent             # found stale; until its next datum
    window_t window


cdef struct volume_t:
    int64_t lots[VOLUMES]
    int64_t sum
    int size
    int head
    int64_t minute             # under way; trades only
    int64_t running            # its lots so far
    uint8_t whole              # it was seen from its beginning
    uint8_t spiked             # its spike has been told


cdef struct health_t:
    # What is known of one symbol.
    lane_t lanes[LANES]
    volume_t volumes[2]        # of trades, of bars
    int64_t conservative_until
    int64_t halted_until
    int64_t one_sided_since    # 0: it is not
    uint64_t crossings         # of the book, told so far
    int64_t seen[VERDICTS]     # stamp of the last datum with the verdict, 0: none
    uint64_t counts[VERDICTS]  # data by verdict; 0: discarded
    uint64_t judged


cdef struct quality_t:
    int64_t book_stale_ns
    int64_t mark_stale_ns
    int64_t candle_stale_e8    # intervals
    int64_t outlier_e8         # modified z-score
    int64_t outlier_floor_e8   # least MAD, share of the median
    int64_t spike_e8
    int64_t wide_spread_e8
    int64_t one_sided_e8
    int64_t one_sided_ns
    int64_t volume_spike_e8    # multiple of the mean
    int64_t volume_drop_e8
    int64_t conservative_ns
    int64_t clean_ns


cdef struct begun_t:
    int symbol
    int verdict


cdef class Quality:
    cdef Instruments instruments
    cdef quality_t settings
    cdef int policies[VERDICTS]
    cdef int discarding            # set of the verdicts whose policy is DISCARD
    cdef health_t* data            # by symbol
    cdef readonly int size
    cdef int turn                  # the other symbol that the last row looked at
    cdef begun_t begun[BEGUN]      # verdicts that begin with the datum judged last, for the alarms
    cdef int n_begun

    cdef int judge(self, const event_t* row) noexcept nogil
    cdef int judge_book(self, const event_t* row, Book book) noexcept nogil
    cdef int64_t worse_e8(self, int symbol, int64_t mark_e8, int64_t lots) noexcept nogil
    cdef int look(self, int symbol, int own, int64_t ts) noexcept nogil
    cdef int silence(self, int symbol, int own, int64_t ts) noexcept nogil
    cdef int row(self, health_t* h, int lane, const event_t* row) noexcept nogil
    cdef int price(self, health_t* h, int lane, int64_t twice, const event_t* row) noexcept nogil
    cdef bint believed(self, const health_t* h, int lane, int64_t twice, int64_t ts) noexcept nogil
    cdef int64_t vouches_ns(self, int lane) noexcept nogil
    cdef bint is_outlier(self, const lane_t* own, int64_t twice, int64_t tick_e8) noexcept nogil
    cdef int touch(self, int64_t bid, int64_t ask) noexcept nogil
    cdef int one_sided(self, health_t* h, Book book, int64_t ts) noexcept nogil
    cdef int trade_volume(self, volume_t* v, const event_t* row) noexcept nogil
    cdef int volume(self, const volume_t* v, int64_t lots, bint over) noexcept nogil
    cdef void note(self, int symbol, int verdicts, int64_t ts) noexcept nogil
    cdef void impose(self, health_t* h, int verdict, int64_t ts) noexcept nogil
    cdef int known(self, int symbol) except -1

    cdef inline bint discards(self, int verdicts) noexcept nogil:
        return verdicts & DISCARDED != 0

    cdef inline bint conservative(self, int symbol, int64_t now) noexcept nogil:
        return now < self.data[symbol].conservative_until

    cdef inline bint halted(self, int symbol, int64_t now) noexcept nogil:
        return now < self.data[symbol].halted_until
