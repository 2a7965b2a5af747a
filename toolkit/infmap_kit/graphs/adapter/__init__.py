"""Networks of other frameworks behind the contract."""
