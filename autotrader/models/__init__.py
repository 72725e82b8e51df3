"""Pure mathematics: arrays in, arrays or numbers out; no file, no clock, no log."""
