"""`python -m cwda`."""

from cwda.cli.main import cwda

if __name__ == "__main__":
    cwda(prog_name="python -m cwda")
