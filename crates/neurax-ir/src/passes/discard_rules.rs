//! Discards the derivative rules of custom functions, which a graph that only runs does not need.
//!
//! The rules are graphs inside of the op, and those of nested functions contain one another: passes
//! that rewrite them would take a time that is exponential in the depth.

use super::rewriter::{Rewriter, apply_inside};
use crate::composite::{Composite, CustomFunction};
use crate::op::Linear;
use crate::{Eqn, Graph, Op, Result, Values};
use std::{borrow::Cow, sync::Arc};

/// Removes the derivative rules of all custom functions, the transposes of linear functions, and
/// the linear maps of solutions. The values stay the same; the graph can be differentiated no
/// longer.
///
/// # Errors
/// If an op cannot be rebuilt with changed nested graphs; not the case for a graph that verifies.
pub fn discard_rules(graph: &Graph) -> Result<Cow<'_, Graph>> {
    Ok(pass(graph)?.map_or(Cow::Borrowed(graph), Cow::Owned))
}

fn pass(graph: &Graph) -> Result<Option<Graph>> {
    Rewriter::rewrite(graph, rewrite_eqn)
}

fn rewrite_eqn(w: &mut Rewriter, e: &Eqn) -> Result<Option<Values>> {
    let op: Op = match &e.op {
        Op::Composite(Composite::CustomFunction(f)) if f.graphs().len() > 1 => {
            let body = Arc::new(discard_rules(&f.body)?.into_owned());
            let (callee, captures) = (f.callee.clone(), f.captures);
            let function = CustomFunction {
                callee,
                captures,
                body,
                jvp: None,
                tangent: None,
                forward: None,
                backward: None,
            };
            Composite::from(function).into()
        }
        Op::Linear(l) if l.forward.is_some() && l.backward.is_some() => {
            let forward = l.forward.as_ref().map(|g| discard_rules(g)).transpose()?;
            let forward = forward.map(|g| Arc::new(g.into_owned()));
            Linear { forward, backward: None, ..l.clone() }.into()
        }
        Op::Composite(Composite::LinearSolve(s)) => {
            s.function(|g| discard_rules(g).map(Cow::into_owned))?.into()
        }
        op => match apply_inside(op, pass)? {
            Some(op) => op,
            None => return Ok(None),
        },
    };
    w.emit(op, &e.inputs).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, DType, Type};

    #[test]
    fn the_body_remains() {
        let ty = Type::scalar(DType::F32);
        let graph = |emit: fn(&mut Builder, crate::Value) -> crate::Value| {
            let mut b = Builder::new();
            let x = b.input(Type::scalar(DType::F32));
            let y = emit(&mut b, x);
            Arc::new(b.finish(&[y]).unwrap())
        };
        let (sine, cosine) = (graph(|b, x| b.sin(x)), graph(|b, x| b.cos(x)));
        let mut b = Builder::new();
        let x = b.input(ty.clone());
        let linear = Linear {
            callee: "f".into(),
            residuals: 0,
            forward: Some(sine.clone()),
            backward: Some(cosine),
            from: vec![ty.clone()],
            to: vec![ty],
        };
        let y = b.emit(linear.clone(), &[x]);
        let small = discard_rules(&b.finish(&[y]).unwrap()).unwrap().into_owned();
        assert_eq!(small.eqns()[0].op, Linear { backward: None, ..linear }.into());
        assert!(matches!(discard_rules(&small).unwrap(), Cow::Borrowed(_)), "nothing is left");
        assert!(matches!(discard_rules(&sine).unwrap(), Cow::Borrowed(_)));
    }
}
