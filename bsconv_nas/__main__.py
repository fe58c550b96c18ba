"""`python -m bsconv_nas`."""

from bsconv_nas.cli import main

if __name__ == "__main__":
    main()
