//! The variables after the last step, which the state keeps while others are its result: the mean
//! of the weights, or the best ones. A run that is resumed exactly goes on with those of the last
//! step, to which the state of the optimizer and the key belong.

use crate::State;
use neurax_nn::Vars;
use neurax_tensor::Result;

/// The name of the memory.
const LAST_STEP: &str = "last_step";
/// The names in the memory.
const HAS_LAST_VARS: &str = "has_vars";
const LAST_VARS: &str = "vars";

/// Replaces the variables of the state, and keeps those of the last step in its memory for
/// [`restore_last`].
pub(crate) fn replace_vars(state: &mut State, new: Vars) {
    let old = std::mem::replace(&mut state.vars, new);
    if !has_last(state) {
        let memory = state.memory(LAST_STEP);
        memory.set_number(HAS_LAST_VARS, 1.0);
        memory.set_tree(LAST_VARS, &old);
    }
}

/// Gives the state the variables after the last step and their scores, if others replaced them.
///
/// # Errors
/// If the variables have another structure than those that were kept.
pub(crate) fn restore_last(state: &mut State) -> Result<()> {
    if !has_last(state) {
        return Ok(());
    }
    let like = state.vars.clone();
    state.vars = state.memory(LAST_STEP).tree(LAST_VARS, &like)?;
    state.validation = state.history.last().map(|log| log.validation.clone()).unwrap_or_default();
    forget_last(state);
    Ok(())
}

/// Removes the variables after the last step from the memory of the state.
pub(crate) fn forget_last(state: &mut State) {
    if has_last(state) {
        let memory = state.memory(LAST_STEP);
        memory.set_number(HAS_LAST_VARS, 0.0);
        memory.remove_tree(LAST_VARS);
    }
}

fn has_last(state: &State) -> bool {
    state.handlers.get(LAST_STEP).is_some_and(|own| own.count(HAS_LAST_VARS) > 0)
}
