"""The command lines `cwda` and `cwda-test`."""
