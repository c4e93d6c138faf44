//! Origins of equations inside the ops that hold graphs. A rule writes a body in a builder of its
//! own, which knows no place; the op that the body goes into does.

use super::{Eqn, Graph};
use crate::{Op, Origin, Place};
use std::borrow::Cow;

impl Graph {
    /// The same graph, in which every equation without a place, those of nested graphs included,
    /// has this origin.
    pub fn placed(&self, at: &Origin) -> Cow<'_, Graph> {
        if at.is_unknown() || self.eqns.iter().all(is_placed) {
            return Cow::Borrowed(self);
        }
        let mut graph = self.clone();
        for e in &mut graph.eqns {
            if e.at.is_unknown() {
                e.at = at.clone();
            }
            if let Some(op) = e.op.placed(at) {
                e.op = op;
            }
        }
        Cow::Owned(graph)
    }

    fn within(&self, layer: Option<&str>, at: &Place) -> Graph {
        let mut graph = self.clone();
        within(&mut graph.eqns, layer, at);
        graph
    }
}

impl Op {
    /// The same op, if equations of its graphs have no place: they get this origin.
    pub(super) fn placed(&self, at: &Origin) -> Option<Op> {
        let region = self.region().filter(|_| !at.is_unknown() && !self.is_placed())?;
        region.map_graphs(&mut |g| Ok(g.placed(at).into_owned())).ok()
    }

    fn is_placed(&self) -> bool {
        self.graphs().iter().all(|g| g.eqns.iter().all(is_placed))
    }
}

impl Origin {
    fn is_unknown(&self) -> bool {
        matches!(self.place, Place::Unknown)
    }
}

fn is_placed(e: &Eqn) -> bool {
    !e.at.is_unknown() && e.op.is_placed()
}

/// See [`crate::Builder::within`]; equations of nested graphs are within the layer, too.
pub(super) fn within(eqns: &mut [Eqn], layer: Option<&str>, at: &Place) {
    for e in eqns {
        if let Some(layer) = layer {
            e.at.path = Some(
                e.at.path
                    .as_ref()
                    .map_or_else(|| layer.into(), |inner| format!("{layer}/{inner}").into()),
            );
        }
        if e.at.place.shown().is_none() {
            e.at.place = at.clone();
        }
        if let Some(Ok(op)) = e.op.region().map(|r| r.map_graphs(&mut |g| Ok(g.within(layer, at))))
        {
            e.op = op;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::op::{Checkpoint, OptimizationBarrier};
    use crate::{Builder, DType, Graph, Origin, Place, Type, Value};

    fn once(make: impl FnOnce(&mut Builder, Value) -> Value) -> Graph {
        let mut b = Builder::new();
        let x = b.input(Type::scalar(DType::F32));
        let y = make(&mut b, x);
        b.finish(&[y]).unwrap()
    }

    /// A body of two equations, the second of which is at `here`.
    fn nested(here: &Origin) -> Checkpoint {
        let body = once(|b, x| {
            let y = b.sin(x);
            b.set_origin(here.clone());
            b.emit(OptimizationBarrier {}, &[y])
        });
        Checkpoint { body: body.into() }
    }

    fn places(g: &Graph) -> Vec<String> {
        let of = |e: &super::Eqn| {
            std::iter::once(e.at.place.to_string())
                .chain(e.op.graphs().iter().flat_map(|g| places(g)))
                .collect::<Vec<_>>()
        };
        g.eqns().iter().flat_map(of).collect()
    }

    #[test]
    fn what_has_no_place_takes_that_of_the_op_around_it() {
        let (here, there) =
            (Origin::from(Place::named("here")), Origin::from(Place::named("there")));
        let deep = || {
            once(|b, x| {
                b.emit(Checkpoint { body: once(|b, x| b.emit(nested(&here), &[x])).into() }, &[x])
            })
        };
        assert_eq!(
            places(&deep()),
            ["an unknown place", "an unknown place", "an unknown place", "here"]
        );
        assert_eq!(places(&deep().placed(&there)), ["there", "there", "there", "here"]);
        let emitted = once(|b, x| {
            b.set_origin(there.clone());
            b.emit(nested(&here), &[x])
        });
        assert_eq!(places(&emitted), ["there", "there", "here"]);
        assert!(
            matches!(emitted.placed(&here), std::borrow::Cow::Borrowed(_)),
            "nothing is left to do"
        );
    }

    #[test]
    fn a_layer_names_the_equations_of_its_loops() {
        let mut b = Builder::new();
        let x = b.input(Type::scalar(DType::F32));
        let y = b.emit(nested(&Origin { path: Some("inner".into()), ..Origin::default() }), &[x]);
        b.within(0, Some("outer"), &Place::named("here"));
        let g = b.finish(&[y]).unwrap();
        let paths: Vec<_> = g.eqns()[0].op.graphs()[0]
            .eqns()
            .iter()
            .map(|e| e.at.path.clone().unwrap().to_string())
            .collect();
        assert_eq!(
            (g.eqns()[0].at.path.as_deref(), paths),
            (Some("outer"), vec!["outer".to_string(), "outer/inner".into()])
        );
        assert_eq!(places(&g), ["here", "here", "here"]);
    }
}
