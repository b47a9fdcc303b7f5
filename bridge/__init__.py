"""Learning meets performance: the only package that knows both."""
