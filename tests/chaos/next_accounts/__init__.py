"""The next release of `tests.accounts`: money has a currency. Messages of the first one are in `released`."""
