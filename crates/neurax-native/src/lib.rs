pub mod affine; pub mod kernel; pub mod schedule;
