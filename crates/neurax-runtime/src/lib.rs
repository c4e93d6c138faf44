//! The contract between the language and its backends: Backend, Device, Buffer, Executable, the compile cache, the stage log.
