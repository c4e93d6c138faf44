//! The parser of the text form. Every equation is added with the builder, so a parsed graph is a
//! checked graph.

use super::{Attr, Builder, Graph, Value, attr::text_error};
use crate::{Error, Op, Result, Type, op::CustomOp, tuning::MAX_GRAPH_DEPTH};
use std::sync::Arc;

/// A parser of graphs and attributes.
#[derive(Debug)]
pub struct Parser<'t> {
    text: &'t str,
    at: usize,
    attrs: usize,
    depth: usize,
    customs: &'t [Arc<dyn CustomOp>],
}

impl Graph {
    /// Parses the text form.
    ///
    /// # Errors
    /// The line and what was expected there.
    pub fn parse(text: &str) -> Result<Graph> {
        Graph::parse_with(text, &[])
    }

    /// Parses the text form of a graph that uses the custom ops `customs`.
    ///
    /// # Errors
    /// The line and what was expected there.
    pub fn parse_with(text: &str, customs: &[Arc<dyn CustomOp>]) -> Result<Graph> {
        let mut p = Parser { text, at: 0, attrs: 0, depth: 0, customs };
        let g = p.graph()?;
        p.space();
        if p.at < text.len() { Err(p.error("expected the end of the text".into())) } else { Ok(g) }
    }
}

impl<'t> Parser<'t> {
    /// Creates an error at the current line.
    pub fn error(&self, message: String) -> Error {
        text_error(1 + self.text[..self.at].matches('\n').count(), message)
    }

    /// Returns the custom op with this name and these parameters.
    ///
    /// # Errors
    /// If it was not passed to [`Graph::parse_with`].
    pub fn custom(&self, name: &str, params: &str) -> Result<Arc<dyn CustomOp>> {
        let found = self.customs.iter().find(|c| c.name() == name && c.params() == params);
        found.cloned().ok_or_else(|| {
            self.error(format!(
                "unknown custom op `{name}` with parameters `{params}`; \
                     pass it to Graph::parse_with"
            ))
        })
    }

    /// Parses `key=value`.
    ///
    /// # Errors
    /// If the next attribute has another name or its value does not parse.
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

    /// Parses a word: letters, digits and `_-+.`.
    ///
    /// # Errors
    /// If the next character is another one.
    pub fn word(&mut self) -> Result<String> {
        self.space();
        let rest = &self.text[self.at..];
        let end =
            rest.find(|c: char| !(c.is_alphanumeric() || "_-+.".contains(c))).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.error("expected a word".into()));
        }
        self.at += end;
        Ok(rest[..end].to_string())
    }

    /// Parses a quoted string.
    ///
    /// # Errors
    /// If there is no quoted string or its end is missing.
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
        Err(self.error("the end of a quoted string is missing".into()))
    }

    /// Skips `s` if it is next; returns true if it was.
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
    /// If something else is next.
    pub fn expect(&mut self, s: &str) -> Result<()> {
        if self.eat(s) { Ok(()) } else { Err(self.error(format!("expected `{s}`"))) }
    }

    /// Parses a list with brackets and commas.
    ///
    /// # Errors
    /// If the text is not such a list.
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

    /// Parses a graph.
    ///
    /// # Errors
    /// If the text is not a graph, an equation does not check, or graphs are nested too deeply.
    pub fn graph(&mut self) -> Result<Graph> {
        self.depth += 1;
        if self.depth > MAX_GRAPH_DEPTH {
            return Err(self.error(format!("graphs are nested more than {MAX_GRAPH_DEPTH} deep")));
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
            .unwrap_or_else(|| Err(self.error(format!("unknown op `{name}`"))))?;
        if self.attrs > 0 {
            self.expect("]")?;
        }
        self.attrs = outer;
        let xs = self.list("(", ")", |p| p.used(env))?;
        let ys = b.try_emit(op, &xs).map_err(|e| self.error(e.to_string()))?;
        if ys.len() != declared.len() {
            let (have, want) = (ys.len(), declared.len());
            return Err(self.error(format!("expected {want} results of `{name}`, got {have}")));
        }
        for ((v, ty), y) in declared.into_iter().zip(ys) {
            if *b.ty(y) != ty {
                let have = b.ty(y);
                return Err(self.error(format!("expected {ty} as result of `{name}`, got {have}")));
            }
            self.define(env, v, y)?;
        }
        Ok(())
    }

    fn define(&self, env: &mut Vec<Value>, v: u32, is: Value) -> Result<()> {
        if v as usize != env.len() {
            let next = env.len();
            return Err(self.error(format!("expected %{next}, got %{v}: number values in order")));
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
