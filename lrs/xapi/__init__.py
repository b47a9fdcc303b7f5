"""The xAPI specification as pure functions: no Flask, no database, no clock of its own."""
