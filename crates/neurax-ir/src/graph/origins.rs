//! Origins of the equations of nested graphs. A rule builds a body with a builder that has no
//! origin; the equations receive the origin of the op that contains the body.

use super::{Eqn, Graph, GraphSummary};
use crate::{Op, Origin, Place, Result};
use std::borrow::Cow;

impl Graph {
    /// Returns this graph with `at` as the origin of all equations whose location is unknown,
    /// including those of nested graphs.
    ///
    /// # Errors
    /// If an op cannot be rebuilt with changed nested graphs; not the case for a graph that
    /// verifies.
    pub fn with_default_origin(&self, at: &Origin) -> Result<Cow<'_, Graph>> {
        if at.is_unknown() || self.summary.has_origins {
            return Ok(Cow::Borrowed(self));
        }
        let mut graph = self.clone();
        for e in &mut graph.eqns {
            if e.at.is_unknown() {
                e.at = at.clone();
            }
            if let Some(op) = e.op.with_default_origin(at)? {
                e.op = op;
            }
        }
        graph.summary = GraphSummary::of(&graph.eqns);
        Ok(Cow::Owned(graph))
    }

    fn within(&self, layer: Option<&str>, at: &Place) -> Result<Graph> {
        let mut graph = self.clone();
        within(&mut graph.eqns, layer, at)?;
        graph.summary = GraphSummary::of(&graph.eqns);
        Ok(graph)
    }
}

impl Op {
    /// Returns this op with `at` as the origin of the equations of its graphs whose location is
    /// unknown; `None` if there are none.
    ///
    /// # Errors
    /// If the op cannot be rebuilt with the changed graphs.
    pub(super) fn with_default_origin(&self, at: &Origin) -> Result<Option<Op>> {
        match self.region() {
            Some(region) if !at.is_unknown() && !self.has_origins() => {
                region.map_graphs(&mut |g| Ok(g.with_default_origin(at)?.into_owned())).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn has_origins(&self) -> bool {
        self.graphs().iter().all(|g| g.summary.has_origins)
    }
}

impl Origin {
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self.place, Place::Unknown)
    }
}

/// Prepends `layer` to the layer path of `eqns` and of the equations of their graphs, and sets the
/// location of those that have none to show; see [`crate::Builder::within`].
///
/// # Errors
/// If an op cannot be rebuilt with its changed graphs.
pub(super) fn within(eqns: &mut [Eqn], layer: Option<&str>, at: &Place) -> Result<()> {
    for e in eqns {
        if let Some(layer) = layer {
            e.at.prepend_layer(layer);
        }
        e.at.set_place_if_unknown(at);
        if let Some(region) = e.op.region() {
            e.op = region.map_graphs(&mut |g| g.within(layer, at))?;
        }
    }
    Ok(())
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

    /// Creates a body of two equations, the second of which has the origin `here`.
    fn nested(here: &Origin) -> Checkpoint {
        let body = once(|b, x| {
            let y = b.sin(x);
            b.set_origin(here.clone());
            b.emit(OptimizationBarrier {}, &[y])
        });
        Checkpoint { body: body.into() }
    }

    /// Returns the locations of all equations, each followed by those of its nested graphs.
    fn locations(g: &Graph) -> Vec<String> {
        let of = |e: &super::Eqn| {
            std::iter::once(e.at.place.to_string())
                .chain(e.op.graphs().iter().flat_map(|g| locations(g)))
                .collect::<Vec<_>>()
        };
        g.eqns().iter().flat_map(of).collect()
    }

    #[test]
    fn equations_without_origin_take_that_of_the_enclosing_op() {
        let (here, there) =
            (Origin::from(Place::named("here")), Origin::from(Place::named("there")));
        let deep = || {
            once(|b, x| {
                b.emit(Checkpoint { body: once(|b, x| b.emit(nested(&here), &[x])).into() }, &[x])
            })
        };
        assert_eq!(
            locations(&deep()),
            ["an unknown place", "an unknown place", "an unknown place", "here"]
        );
        let placed = deep().with_default_origin(&there).unwrap().into_owned();
        assert_eq!(locations(&placed), ["there", "there", "there", "here"]);
        let emitted = once(|b, x| {
            b.set_origin(there.clone());
            b.emit(nested(&here), &[x])
        });
        assert_eq!(locations(&emitted), ["there", "there", "here"]);
        let unchanged = emitted.with_default_origin(&here).unwrap();
        assert!(matches!(unchanged, std::borrow::Cow::Borrowed(_)), "all origins are known");
    }

    #[test]
    fn a_layer_is_recorded_in_the_equations_of_its_loops() {
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
        assert_eq!(locations(&g), ["here", "here", "here"]);
    }
}
