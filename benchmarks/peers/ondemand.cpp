// Depth diffs by simdjson's On-Demand parser, with everything that the core's scanner gives: the symbol is
// compared, the ids and stamps are read, every price and size becomes a number.
//
// Knows the fields in the order in which the exchange sends them, which is On-Demand's fastest way. Messages lie
// in one block with simdjson's padding behind each, so that nothing is copied. Refuses to know the clock.
#include <cstdint>
#include <cstring>
#include <simdjson.h>
#include <string_view>

using namespace simdjson;

struct level_t {
    int64_t price, size;
};

struct double_level_t {
    double price, size;
};

// A decimal text as an integer of 1/scale: what the scanner does before it divides by tick and lot.
static inline bool fixed(std::string_view text, int decimals, int64_t &out) {
    int64_t value = 0;
    int behind = -1;
    for (char c : text) {
        if (c == '.') {
            if (behind >= 0) return false;
            behind = 0;
            continue;
        }
        unsigned digit = static_cast<unsigned char>(c) - '0';
        if (digit > 9) return false;
        value = 10 * value + digit;
        behind += behind >= 0;
    }
    for (int k = behind < 0 ? 0 : behind; k < decimals; k++) value *= 10;
    out = value;
    return behind <= decimals;
}

static inline std::string_view inside(ondemand::value value) {
    // The raw token of a string that holds no escapes, without its quotes; On-Demand's token runs to the next one.
    const char *p = value.get_raw_json_string().value_unsafe().raw();
    return {p, static_cast<size_t>(static_cast<const char *>(std::memchr(p, '"', 64)) - p)};
}

struct totals_t {
    int64_t messages, levels, ids, stamps;
};

static inline error_code read_ids(ondemand::object &data, std::string_view symbol, totals_t &t) {
    std::string_view text;
    int64_t event, stamp, first, last, before;
    if (auto e = data["e"].get_string().get(text)) return e;
    if (text != "depthUpdate") return INCORRECT_TYPE;
    if (auto e = data["E"].get_int64().get(event)) return e;
    if (auto e = data["T"].get_int64().get(stamp)) return e;
    if (auto e = data["s"].get_string().get(text)) return e;
    if (text != symbol) return INCORRECT_TYPE;
    if (auto e = data["U"].get_int64().get(first)) return e;
    if (auto e = data["u"].get_int64().get(last)) return e;
    if (auto e = data["pu"].get_int64().get(before)) return e;
    t.stamps += event + stamp;
    t.ids += first + last + before;
    return SUCCESS;
}

static inline error_code integers(ondemand::array side, int tick_decimals, int lot_decimals, level_t *&out,
                                  totals_t &t) {
    for (auto pair : side) {
        ondemand::array two;
        if (auto e = pair.get_array().get(two)) return e;
        int at = 0;
        for (auto item : two) {
            ondemand::value value;
            if (auto e = item.get(value)) return e;
            if (at > 1 || !fixed(inside(value), at ? lot_decimals : tick_decimals, at ? out->size : out->price))
                return NUMBER_ERROR;
            at++;
        }
        if (at != 2) return INCORRECT_TYPE;
        out++;
        t.levels++;
    }
    return SUCCESS;
}

static inline error_code doubles(ondemand::array side, double_level_t *&out, totals_t &t) {
    for (auto pair : side) {
        ondemand::array two;
        if (auto e = pair.get_array().get(two)) return e;
        int at = 0;
        for (auto item : two) {
            if (at > 1) return INCORRECT_TYPE;
            if (auto e = item.get_double_in_string().get(at ? out->size : out->price)) return e;
            at++;
        }
        if (at != 2) return INCORRECT_TYPE;
        out++;
        t.levels++;
    }
    return SUCCESS;
}

template <typename level, typename read_side>
static int read_all(const char *block, const int64_t *starts, const int64_t *sizes, int64_t count, const char *symbol,
                    level *out, totals_t *t, read_side side) {
    static ondemand::parser parser;
    for (int64_t k = 0; k < count; k++) {
        ondemand::document doc;
        ondemand::object data;
        ondemand::array levels;
        level *next = out;
        padded_string_view text(block + starts[k], sizes[k], sizes[k] + SIMDJSON_PADDING);
        if (auto e = parser.iterate(text).get(doc)) return e;
        if (auto e = doc["data"].get_object().get(data)) return e;
        if (auto e = read_ids(data, symbol, *t)) return e;
        if (auto e = data["b"].get_array().get(levels)) return e;
        if (auto e = side(levels, next)) return e;
        if (auto e = data["a"].get_array().get(levels)) return e;
        if (auto e = side(levels, next)) return e;
        t->messages++;
    }
    return 0;
}

extern "C" {
const char *simdjson_version() { return SIMDJSON_STRINGIFY(SIMDJSON_VERSION); }
const char *simdjson_kernel() { return SIMDJSON_STRINGIFY(SIMDJSON_BUILTIN_IMPLEMENTATION); }
int padding() { return SIMDJSON_PADDING; }

int read_integers(const char *block, const int64_t *starts, const int64_t *sizes, int64_t count, const char *symbol,
                  int tick_decimals, int lot_decimals, level_t *out, totals_t *t) {
    return read_all(block, starts, sizes, count, symbol, out, t, [&](ondemand::array side, level_t *&next) {
        return integers(side, tick_decimals, lot_decimals, next, *t);
    });
}

int read_doubles(const char *block, const int64_t *starts, const int64_t *sizes, int64_t count, const char *symbol,
                 double_level_t *out, totals_t *t) {
    return read_all(block, starts, sizes, count, symbol, out, t,
                    [&](ondemand::array side, double_level_t *&next) { return doubles(side, next, *t); });
}
}
