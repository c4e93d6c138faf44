//! Law 1.

use super::*;

/// Law 1: `infer` gives the types of what `eval` gives; and `eval` gives the same value whether or
/// not it may reuse its operands' memory, and leaves operands alone that somebody else holds.
///
/// # Errors
/// When it does not hold.
pub fn types_are_inferred(s: &Sample) -> Result<(), String> {
    let want = s.op.infer(&types_of(&s.inputs)).map_err(|e| format!("infer: {e}"))?;
    if needs_axis(&s.op) {
        return Ok(());
    }
    let kept: Vec<Literal> = s.inputs.iter().map(unshared).collect();
    let shared = eval_op(&s.op, &s.inputs)?;
    if types_of(&shared) != want {
        return Err(format!("infer says {want:?}, eval gives {:?}", types_of(&shared)));
    }
    if s.inputs != kept {
        return Err("eval writes into an operand that somebody else holds".into());
    }
    let own: Vec<Literal> = kept.iter().map(unshared).collect();
    let reusing = s.op.eval(&mut Eval::default(), own).map_err(|e| format!("eval: {e}"))?;
    if reusing == shared {
        Ok(())
    } else {
        Err("eval gives another value when it may reuse its operands".into())
    }
}
