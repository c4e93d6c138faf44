//! Reads the text form back. Every equation goes through the builder, so a parsed graph is a
//! checked graph.

use super::{Attr, Builder, Graph, Value, attr::text_error};
use crate::{Error, Op, Result, Type, op::CustomOp};
use std::sync::Arc;

/// How deep graphs may be nested in text: beyond it a file could overflow the stack.
const MAX_DEPTH: usize = 64;

/// Reads graphs and attributes.
#[derive(Debug)]
pub struct Parser<'t> {
    text: &'t str,
    at: usize,
    attrs: usize,
    depth: usize,
    customs: &'t [Arc<dyn CustomOp>],
}

impl Graph {
    /// Reads the text form.
    ///
    /// # Errors
    /// With the line, what was expected there.
    pub fn parse(text: &str) -> Result<Graph> {
        Graph::parse_with(text, &[])
    }

    /// Reads the text form of a graph that uses those ops from outside.
    ///
    /// # Errors
    /// With the line, what was expected there.
    pub fn parse_with(text: &str, customs: &[Arc<dyn CustomOp>]) -> Result<Graph> {
        let mut p = Parser { text, at: 0, attrs: 0, depth: 0, customs };
        let g = p.graph()?;
        p.space();
        if p.at < text.len() { Err(p.error("the end was expected".into())) } else { Ok(g) }
    }
}

impl<'t> Parser<'t> {
    /// An error at the current line.
    pub fn error(&self, message: String) -> Error {
        text_error(1 + self.text[..self.at].matches('\n').count(), message)
    }

    /// The op from outside of that name and parameters.
    pub fn custom(&self, name: &str, params: &str) -> Result<Arc<dyn CustomOp>> {
        let found = self.customs.iter().find(|c| c.name() == name && c.params() == params);
        found
            .cloned()
            .ok_or_else(|| self.error(format!("the custom op `{name}` with parameters `{params}` is not known; give it to Graph::parse_with")))
    }

    /// Reads `key=value`.
    ///
    /// # Errors
    /// When the next attribute is another one.
    pub fn attr<T: Attr>(&mut self, key: &str) -> Result<T> {
        self.expect(if self.attrs == 0 { "[" } else { "," })?;
        self.attrs += 1;
        self.expect(key)?;
        self.expect("=")?;
        let outer = std::mem::take(&mut self.attrs);
        let value = T::parse(self);
        self.attrs = outer;
        value
    }

    /// Reads letters, digits and the signs of numbers.
    ///
    /// # Errors
    /// When there are none.
    pub fn word(&mut self) -> Result<String> {
        self.space();
        let rest = &self.text[self.at..];
        let end =
            rest.find(|c: char| !(c.is_alphanumeric() || "_-+.".contains(c))).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.error("a word was expected".into()));
        }
        self.at += end;
        Ok(rest[..end].to_string())
    }

    /// Reads a quoted text.
    ///
    /// # Errors
    /// When there is none, or it does not end.
    pub fn quoted(&mut self) -> Result<String> {
        self.expect("\"")?;
        let mut out = String::new();
        let mut chars = self.text[self.at..].char_indices();
        while let Some((i, c)) = chars.next() {
            match c {
                '"' => {
                    self.at += i + 1;
                    return Ok(out);
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => out.push('\n'),
                    Some((_, 't')) => out.push('\t'),
                    Some((_, c @ ('"' | '\\' | '\''))) => out.push(c),
                    _ => break,
                },
                c => out.push(c),
            }
        }
        Err(self.error("a quoted text does not end".into()))
    }

    /// Skips `s` if it comes next.
    pub fn eat(&mut self, s: &str) -> bool {
        self.space();
        let hit = self.text[self.at..].starts_with(s);
        if hit {
            self.at += s.len();
        }
        hit
    }

    /// Skips `s`.
    ///
    /// # Errors
    /// When something else comes next.
    pub fn expect(&mut self, s: &str) -> Result<()> {
        if self.eat(s) { Ok(()) } else { Err(self.error(format!("`{s}` was expected"))) }
    }

    /// Reads a list with brackets and commas.
    ///
    /// # Errors
    /// When it is no such list.
    pub fn list<T>(
        &mut self,
        open: &str,
        close: &str,
        mut each: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.expect(open)?;
        let mut out = vec![];
        if self.eat(close) {
            return Ok(out);
        }
        loop {
            out.push(each(self)?);
            if self.eat(close) {
                return Ok(out);
            }
            self.expect(",")?;
        }
    }

    /// Reads a graph.
    ///
    /// # Errors
    /// When the text is no graph, an equation does not check, or graphs are nested too deeply.
    pub fn graph(&mut self) -> Result<Graph> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error(format!("graphs are nested more than {MAX_DEPTH} deep")));
        }
        let graph = self.graph_body();
        self.depth -= 1;
        graph
    }

    fn graph_body(&mut self) -> Result<Graph> {
        self.expect("graph")?;
        let mut b = Builder::new();
        let mut env = vec![];
        for (v, ty) in self.list("(", ")", Self::typed)? {
            self.define(&mut env, v, b.input(ty))?;
        }
        self.expect("{")?;
        while !self.eat("return") {
            self.eqn(&mut b, &mut env)?;
        }
        let mut outputs = vec![];
        while !self.eat("}") {
            if !outputs.is_empty() {
                self.expect(",")?;
            }
            outputs.push(self.used(&env)?);
        }
        b.finish(&outputs)
    }

    fn eqn(&mut self, b: &mut Builder, env: &mut Vec<Value>) -> Result<()> {
        let mut declared = vec![];
        self.space();
        if self.text[self.at..].starts_with('%') {
            declared.push(self.typed()?);
            while self.eat(",") {
                declared.push(self.typed()?);
            }
            self.expect("=")?;
        }
        let name = self.word()?;
        let outer = std::mem::take(&mut self.attrs);
        let op = Op::parse_attrs(&name, self)
            .unwrap_or_else(|| Err(self.error(format!("there is no op `{name}`"))))?;
        if self.attrs > 0 {
            self.expect("]")?;
        }
        self.attrs = outer;
        let xs = self.list("(", ")", |p| p.used(env))?;
        let ys = b.try_emit(op, &xs).map_err(|e| self.error(e.to_string()))?;
        if ys.len() != declared.len() {
            return Err(self.error(format!(
                "`{name}` gives {} values, not {}",
                ys.len(),
                declared.len()
            )));
        }
        for ((v, ty), y) in declared.into_iter().zip(ys) {
            if *b.ty(y) != ty {
                return Err(self.error(format!("`{name}` gives {}, not {ty}", b.ty(y))));
            }
            self.define(env, v, y)?;
        }
        Ok(())
    }

    fn define(&self, env: &mut Vec<Value>, v: u32, is: Value) -> Result<()> {
        if v as usize != env.len() {
            return Err(self.error(format!(
                "%{v} was expected to be %{}: values are numbered in order",
                env.len()
            )));
        }
        env.push(is);
        Ok(())
    }

    fn used(&mut self, env: &[Value]) -> Result<Value> {
        let v = self.value()?;
        env.get(v as usize)
            .copied()
            .ok_or_else(|| self.error(format!("%{v} is not defined before it is used")))
    }

    fn value(&mut self) -> Result<u32> {
        self.expect("%")?;
        u32::parse(self)
    }

    fn typed(&mut self) -> Result<(u32, Type)> {
        let v = self.value()?;
        self.expect(":")?;
        Ok((v, Type::parse(self)?))
    }

    fn space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }
}
