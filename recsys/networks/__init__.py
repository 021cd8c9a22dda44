"""Networks of recommenders: encoders of histories, users and items, as modules of `minidl.nn`."""
