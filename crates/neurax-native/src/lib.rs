//! test
mod affine; mod code; mod emit; mod kernel; mod schedule;
