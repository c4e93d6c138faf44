//! A gate that stops a model.

use std::sync::{Arc, Condvar, Mutex};

/// A gate at which models wait until the test opens it.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<GateState>, Condvar)>);

#[derive(Default)]
struct GateState {
    /// The number of models that may pass.
    may_pass: usize,
    /// The number of times that a model has arrived.
    arrived: usize,
}

impl Gate {
    /// Waits until the gate is open: called by a model.
    pub fn pass(&self) {
        let (state, signal) = &*self.0;
        let mut state = state.lock().unwrap();
        state.arrived += 1;
        let own = state.arrived;
        signal.notify_all();
        drop(signal.wait_while(state, |s| s.may_pass < own).unwrap());
    }

    /// Waits until a model has arrived for the `n`th time.
    pub fn wait_for(&self, n: usize) {
        let (state, signal) = &*self.0;
        drop(signal.wait_while(state.lock().unwrap(), |s| s.arrived < n).unwrap());
    }

    /// Lets all models pass from now on.
    pub fn open(&self) {
        self.open_for(usize::MAX);
    }

    /// Lets the first `n` models pass, in the order of their arrival.
    pub fn open_for(&self, n: usize) {
        self.0.0.lock().unwrap().may_pass = n;
        self.0.1.notify_all();
    }
}
