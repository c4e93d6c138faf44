//! The state of the pass.

use super::layouts::Layouts;
use crate::composite::ChannelsLastConvolution;
use crate::passes::freeze::constant_values;
use crate::{Builder, Eqn, Graph, Result, Value, Values};

/// The state of the pass. Values are those of the source, unless said otherwise.
pub struct ChannelsLastPass<'g> {
    pub graph: &'g Graph,
    producers: Vec<Option<usize>>,
    pub constant: Vec<bool>,
    pub uses: Vec<usize>,
    pub b: Builder,
    pub layouts: Layouts,
    /// True if a convolution has its features last.
    pub found: bool,
    /// For each value that a convolution computes alone, that convolution.
    pub convolutions: Vec<Option<LastConvolution>>,
}

/// A convolution of the new graph.
#[derive(Clone)]
pub struct LastConvolution {
    pub op: ChannelsLastConvolution,
    /// Its operands in the new graph.
    pub operands: Values,
}

impl<'g> ChannelsLastPass<'g> {
    pub fn new(graph: &'g Graph, is_constant: &[bool]) -> ChannelsLastPass<'g> {
        let count = graph.types().len();
        let mut b = Builder::new();
        let inputs = b.inputs(graph.input_types());
        ChannelsLastPass {
            graph,
            producers: graph.producers(),
            constant: constant_values(graph, is_constant, &|_| true),
            uses: graph.use_counts(),
            b,
            layouts: Layouts::new(count, &inputs),
            found: false,
            convolutions: vec![None; count],
        }
    }

    pub fn producer(&self, v: Value) -> Option<&'g Eqn> {
        self.producers[v.index()].map(|i| &self.graph.eqns()[i])
    }

    /// Returns the sizes of a value.
    pub fn shape(&self, v: Value) -> &'g [usize] {
        &self.graph.ty(v).shape
    }

    /// Copies an equation, with operands in their order.
    pub fn copy(&mut self, e: &Eqn) -> Result<()> {
        let operands = e.inputs.iter().map(|v| self.first(*v)).collect::<Result<Values>>()?;
        let outputs = self.b.try_emit(e.op.clone(), &operands)?;
        e.outputs.iter().zip(outputs).for_each(|(v, new)| self.layouts.set_first(*v, new));
        Ok(())
    }

    /// Emits a convolution and makes it the one that computes `v`.
    pub fn set_convolution(&mut self, v: Value, new: LastConvolution) -> Result<()> {
        let outputs = self.b.try_emit(new.op.clone(), &new.operands)?;
        self.found = true;
        self.layouts.set_last(v, outputs[0]);
        self.convolutions[v.index()] = Some(new);
        Ok(())
    }
}
