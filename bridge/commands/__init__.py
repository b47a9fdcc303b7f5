"""Groups of commands that `bridge.cli` puts together, one module each; heavy imports wait until a command runs."""
