//! Laws, fixtures, random programs; for tests.
