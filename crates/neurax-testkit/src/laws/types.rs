//! The law of types and memory.

use super::*;

/// Checks that `infer` returns the types of the values of `eval`, and that `eval` returns the same
/// values whether or not it may reuse its operands' memory, and does not modify operands with other
/// owners.
///
/// # Errors
/// The violation.
pub fn types_are_inferred(s: &Sample) -> Result<(), String> {
    let want = s.op.infer(&types_of(&s.inputs)).map_err(|e| format!("infer: {e}"))?;
    if needs_axis(&s.op) {
        return Ok(());
    }
    let kept: Vec<Literal> = s.inputs.iter().map(unshared).collect();
    let shared = eval_op(&s.op, &s.inputs)?;
    if types_of(&shared) != want {
        return Err(format!("infer returns {want:?}, eval returns {:?}", types_of(&shared)));
    }
    if s.inputs != kept {
        return Err("eval modifies an operand that has another owner".into());
    }
    let own: Vec<Literal> = kept.iter().map(unshared).collect();
    let reusing = s.op.eval(&mut Eval::default(), own).map_err(|e| format!("eval: {e}"))?;
    if reusing == shared {
        Ok(())
    } else {
        Err("eval returns another value when it may reuse its operands".into())
    }
}
