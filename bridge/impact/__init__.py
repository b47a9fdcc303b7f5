"""What a programme changed: a panel in, an estimate and a verdict out. Pure; numpy and scipy are the extra `impact`."""
