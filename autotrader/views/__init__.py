"""Read models: each view is a pure function of the journal's rows, and can be thrown away and folded anew."""
