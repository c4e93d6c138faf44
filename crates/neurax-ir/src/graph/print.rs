//! The printer of the text form, which `parse.rs` reads.

use super::{Attr, Graph, Value};
use std::fmt::{self, Write};

/// A printer of graphs and attributes.
#[derive(Default, Debug)]
pub struct Printer {
    out: String,
    indent: usize,
    attrs: usize,
}

impl Printer {
    /// Prints `key=value`, preceded by `[` if it is the first attribute of the op and by a comma
    /// otherwise.
    pub fn attr(&mut self, key: &str, value: &impl Attr) {
        self.word(if self.attrs == 0 { "[" } else { ", " });
        self.attrs += 1;
        self.word(key);
        self.word("=");
        let outer = std::mem::take(&mut self.attrs);
        value.print(self);
        self.attrs = outer;
    }

    /// Prints `s` verbatim.
    pub fn word(&mut self, s: &str) {
        self.out.push_str(s);
    }

    /// Prints `s` in quotes, escaped.
    pub fn quoted(&mut self, s: &str) {
        let _ = write!(self.out, "{s:?}");
    }

    /// Prints a list with brackets and commas.
    pub fn list<T>(
        &mut self,
        open: &str,
        items: &[T],
        close: &str,
        mut each: impl FnMut(&mut Printer, &T),
    ) {
        self.word(open);
        for (i, x) in items.iter().enumerate() {
            if i > 0 {
                self.word(", ");
            }
            each(self, x);
        }
        self.word(close);
    }

    /// Prints a graph at the current indentation.
    pub fn graph(&mut self, g: &Graph) {
        self.word("graph");
        let inputs: Vec<Value> = g.inputs().collect();
        self.list("(", &inputs, ")", |p, &v| p.typed(g, v));
        self.word(" {\n");
        self.indent += 1;
        for e in g.eqns() {
            self.line_start();
            self.list("", &e.outputs, "", |p, &v| p.typed(g, v));
            if !e.outputs.is_empty() {
                self.word(" = ");
            }
            self.op(&e.op);
            self.list("(", &e.inputs, ")", |p, v| p.value(*v));
            self.word("\n");
        }
        self.line_start();
        self.word("return");
        let space = if g.outputs().is_empty() { "" } else { " " };
        self.list(space, g.outputs(), "", |p, v| p.value(*v));
        self.indent -= 1;
        self.word("\n");
        self.line_start();
        self.word("}");
    }

    /// Prints the name and the attributes of an op.
    pub fn op(&mut self, op: &crate::Op) {
        self.word(op.name());
        let outer = std::mem::take(&mut self.attrs);
        op.print_attrs(self);
        if self.attrs > 0 {
            self.word("]");
        }
        self.attrs = outer;
    }

    /// Returns the text.
    pub fn finish(self) -> String {
        self.out
    }

    fn line_start(&mut self) {
        self.out.extend(std::iter::repeat_n("  ", self.indent));
    }

    fn value(&mut self, v: Value) {
        let _ = write!(self.out, "%{}", v.0);
    }

    fn typed(&mut self, g: &Graph, v: Value) {
        self.value(v);
        let _ = write!(self.out, ": {}", g.ty(v));
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let mut p = Printer::default();
        p.graph(self);
        f.write_str(&p.finish())
    }
}
