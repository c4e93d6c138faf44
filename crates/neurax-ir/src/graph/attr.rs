//! Attributes of ops: how each kind of parameter prints and parses. Derived for every op by `attrs!`.

use super::{Graph, Parser, Printer};
use crate::{Error, Literal, Result, Shape, Type};
use std::sync::Arc;

/// A parameter of an op, with its text form.
pub trait Attr: Sized {
    /// Writes it.
    fn print(&self, p: &mut Printer);
    /// Reads what `print` wrote.
    ///
    /// # Errors
    /// When the text is something else.
    fn parse(p: &mut Parser) -> Result<Self>;
}

macro_rules! numbers {
    ($($t:ty),*) => {$(
        impl Attr for $t {
            fn print(&self, p: &mut Printer) {
                p.word(&self.to_string());
            }
            fn parse(p: &mut Parser) -> Result<Self> {
                let w = p.word()?;
                w.parse().map_err(|_| p.error(format!("`{w}` is not a {}", stringify!($t))))
            }
        }
    )*};
}

numbers!(usize, i64, u32, bool);

impl<T: Attr> Attr for Vec<T> {
    fn print(&self, p: &mut Printer) {
        p.list("[", self, "]", |p, x| x.print(p));
    }
    fn parse(p: &mut Parser) -> Result<Self> {
        p.list("[", "]", T::parse)
    }
}

impl<T: Attr> Attr for Option<T> {
    fn print(&self, p: &mut Printer) {
        match self {
            Some(x) => x.print(p),
            None => p.word("none"),
        }
    }
    fn parse(p: &mut Parser) -> Result<Self> {
        if p.eat("none") { Ok(None) } else { T::parse(p).map(Some) }
    }
}

impl Attr for Shape {
    fn print(&self, p: &mut Printer) {
        p.word(&self.to_string());
    }
    fn parse(p: &mut Parser) -> Result<Self> {
        Ok(Vec::<usize>::parse(p)?.into())
    }
}

impl Attr for Type {
    fn print(&self, p: &mut Printer) {
        p.word(&self.to_string());
    }
    fn parse(p: &mut Parser) -> Result<Self> {
        Ok(Type { dtype: crate::DType::parse_attr(p)?, shape: Shape::parse(p)? })
    }
}

impl Attr for crate::DType {
    fn print(&self, p: &mut Printer) {
        p.word(self.name());
    }
    fn parse(p: &mut Parser) -> Result<Self> {
        crate::DType::parse_attr(p)
    }
}

impl crate::DType {
    fn parse_attr(p: &mut Parser) -> Result<Self> {
        let w = p.word()?;
        crate::DType::parse(&w).ok_or_else(|| p.error(format!("`{w}` is not a dtype")))
    }
}

impl Attr for Arc<str> {
    fn print(&self, p: &mut Printer) {
        p.quoted(self);
    }
    fn parse(p: &mut Parser) -> Result<Self> {
        Ok(p.quoted()?.into())
    }
}

/// Bytes in hexadecimal, so that NaN payloads and -0 survive; a comment-like list of numbers would not.
impl Attr for Literal {
    fn print(&self, p: &mut Printer) {
        self.ty().print(p);
        p.word(" 0x");
        for b in &self.bytes()[..] {
            p.word(&format!("{b:02x}"));
        }
    }
    fn parse(p: &mut Parser) -> Result<Self> {
        let ty = Type::parse(p)?;
        let hex = p.word()?;
        let digits = hex.strip_prefix("0x").unwrap_or("");
        // The length is checked before anything of that size is taken.
        if !digits.is_ascii() || digits.len() / 2 != ty.bytes()? || hex.len() != digits.len() + 2 {
            return Err(p.error(format!("the bytes of a {ty} were expected")));
        }
        let byte = |i: usize| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16);
        let bytes = (0..digits.len() / 2).map(byte).collect::<std::result::Result<Vec<u8>, _>>();
        let bytes = bytes.map_err(|e| p.error(e.to_string()))?;
        Literal::new(ty, crate::Bytes::copy_of(&bytes))
    }
}

impl Attr for Arc<Graph> {
    fn print(&self, p: &mut Printer) {
        p.graph(self);
    }
    fn parse(p: &mut Parser) -> Result<Self> {
        p.graph().map(Arc::new)
    }
}

/// Declares the structs of an op family: their derives and the text form of their fields.
/// The mnemonic stands behind `=`; an op without parameters has no fields.
macro_rules! attrs {
    ($($(#[$m:meta])* pub struct $N:ident = $name:literal { $($(#[$fm:meta])* $f:ident: $t:ty),* $(,)? })*) => {$(
        $(#[$m])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub struct $N { $($(#[$fm])* pub $f: $t),* }

        impl $N {
            /// The StableHLO mnemonic.
            pub const NAME: &'static str = $name;
        }

        impl $crate::op::Text for $N {
            #[allow(unused_variables, reason = "ops without parameters print none")]
            fn print_attrs(&self, p: &mut $crate::graph::Printer) {
                $(p.attr(stringify!($f), &self.$f);)*
            }
            #[allow(unused_variables, reason = "ops without parameters read none")]
            fn parse_attrs(name: &str, p: &mut $crate::graph::Parser) -> Option<$crate::Result<Self>> {
                (name == $name).then(|| Ok($N { $($f: p.attr(stringify!($f))?),* }))
            }
        }
    )*};
}

/// Declares an enum whose variants have names in text.
macro_rules! names {
    ($(#[$m:meta])* pub enum $N:ident { $($(#[$vm:meta])* $V:ident = $name:literal),* $(,)? }) => {
        $(#[$m])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $N { $($(#[$vm])* $V),* }

        impl $N {
            /// Every variant.
            pub const ALL: &'static [$N] = &[$($N::$V),*];

            /// The name in text.
            pub fn name(self) -> &'static str {
                match self { $($N::$V => $name),* }
            }
        }

        impl $crate::graph::Attr for $N {
            fn print(&self, p: &mut $crate::graph::Printer) {
                p.word(self.name());
            }
            fn parse(p: &mut $crate::graph::Parser) -> $crate::Result<Self> {
                let w = p.word()?;
                let found = $N::ALL.iter().copied().find(|x| x.name() == w);
                found.ok_or_else(|| p.error(format!("`{w}` is none of {}", $N::ALL.iter().map(|x| x.name()).collect::<Vec<_>>().join(", "))))
            }
        }
    };
}

/// Gives an enum from `names!` whose variants are themselves ops the text form of an op without parameters.
macro_rules! nameless_attrs {
    ($N:ident) => {
        impl $crate::op::Text for $N {
            fn print_attrs(&self, _: &mut $crate::graph::Printer) {}
            fn parse_attrs(name: &str, _: &mut $crate::graph::Parser) -> Option<$crate::Result<Self>> {
                $N::ALL.iter().copied().find(|x| x.name() == name).map(Ok)
            }
        }
    };
}

pub(crate) use {attrs, nameless_attrs, names};

/// An error of the parser or the printer that is nobody's fault but the text's.
pub(super) fn text_error(line: usize, message: String) -> Error {
    Error::new("parse", format!("line {line}: {message}"))
}

#[cfg(test)]
mod tests {
    use crate::Graph;

    #[test]
    fn an_unknown_name_is_answered_with_those_of_the_text() {
        let e = Graph::parse("graph(%0: f32[2]) {\n  %1: f32[] = reduce[kind=mean, axes=[0]](%0)\n  return %1\n}").unwrap_err().to_string();
        assert!(e.contains("line 2: `mean` is none of sum, prod, max, min"), "{e}");
    }
}
