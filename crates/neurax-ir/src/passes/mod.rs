//! Passes: they keep the function and make it cheaper.
