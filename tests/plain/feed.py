"""How a signed text becomes a request of the exchange's socket, by replacing signs."""


def frame(number: int, method: bytes, text: bytes) -> bytes:
    """Return a request: the text as JSON, byte for byte, every value a string."""
    params = text.replace(b"&", b'","').replace(b"=", b'":"')
    return b'{"id":%d,"method":"%s","params":{"%s"}}' % (number, method, params)
