//! Attributes of ops: how each kind of parameter prints and parses. Derived for every op by
//! `attrs!`.

use super::{Graph, Parser, Printer};
use crate::{DType, Error, Literal, Result, Shape, Type};
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

/// A few numbers as such, `f32[2] {1.0, 0.5}`, where that gives every bit back; else bytes in
/// hexadecimal, so that NaN payloads survive.
impl Attr for Literal {
    fn print(&self, p: &mut Printer) {
        self.ty().print(p);
        p.word(" ");
        match decimal(self) {
            Some(words) if self.ty().rank() == 0 => p.word(&words.concat()),
            Some(words) => p.list("{", &words, "}", |p, w| p.word(w)),
            None => {
                p.word("0x");
                for b in &self.bytes()[..] {
                    p.word(&format!("{b:02x}"));
                }
            }
        }
    }
    fn parse(p: &mut Parser) -> Result<Self> {
        let ty = Type::parse(p)?;
        let bytes = ty.bytes()?;
        if p.eat("0x") {
            let digits = if bytes == 0 { String::new() } else { p.word()? };
            // The length is checked before anything of that size is taken.
            let read = if digits.is_ascii() && digits.len() == 2 * bytes {
                from_hex(&digits)
            } else {
                None
            };
            let read = read.ok_or_else(|| p.error(format!("the bytes of a {ty} were expected")))?;
            return Literal::new(ty, crate::Bytes::copy_of(&read));
        }
        let words = if ty.rank() == 0 { vec![p.word()?] } else { p.list("{", "}", Parser::word)? };
        from_decimal(&ty, &words)
            .ok_or_else(|| p.error(format!("the numbers of a {ty} were expected")))
    }
}

/// More numbers than these are read by nobody.
const SHOWN: usize = 8;

/// The numbers as text, if there are few and their text gives every bit back: the shortest of f32
/// for narrower floats, where it does.
fn decimal(l: &Literal) -> Option<Vec<String>> {
    let (dtype, size) = (l.ty().dtype, l.ty().size());
    if size == 0 || size > SHOWN || dtype.is_complex() {
        return None;
    }
    let xs = l.to_f64s();
    let written = |each: &dyn Fn(f64) -> String| -> Option<Vec<String>> {
        let words: Vec<String> = xs.iter().map(|&x| each(x)).collect();
        from_decimal(l.ty(), &words).filter(|back| back.bytes()[..] == l.bytes()[..]).map(|_| words)
    };
    match dtype {
        _ if xs.iter().any(|x| x.is_nan()) => None,
        DType::Bool => written(&|x| (x != 0.0).to_string()),
        _ if dtype.is_int() => written(&|x| x.to_string()),
        _ => written(&|x| format!("{:?}", x as f32)).or_else(|| written(&|x| format!("{x:?}"))),
    }
}

/// What [`decimal`] wrote; nothing if a number is none, or none of that dtype, or if there are too
/// many or too few.
fn from_decimal(ty: &Type, words: &[String]) -> Option<Literal> {
    let number = |w: &String| match (ty.dtype, w.as_str()) {
        (DType::Bool, "true") => Some(1.0),
        (DType::Bool, "false") => Some(0.0),
        (DType::Bool, _) => None,
        (_, w) => w.parse::<f64>().ok(),
    };
    let xs = words
        .iter()
        .map(number)
        .collect::<Option<Vec<f64>>>()
        .filter(|xs| xs.len() == ty.size() && !ty.dtype.is_complex())?;
    let l = Literal::from_f64s(ty.dtype, ty.shape.clone(), &xs);
    (ty.dtype.is_float() || l.to_f64s() == xs).then_some(l)
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    (0..digits.len() / 2)
        .map(|i| u8::from_str_radix(digits.get(2 * i..2 * i + 2)?, 16).ok())
        .collect()
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

/// Gives an enum from `names!` whose variants are themselves ops the text form of an op without
/// parameters.
macro_rules! nameless_attrs {
    ($N:ident) => {
        impl $crate::op::Text for $N {
            fn print_attrs(&self, _: &mut $crate::graph::Printer) {}
            fn parse_attrs(
                name: &str,
                _: &mut $crate::graph::Parser,
            ) -> Option<$crate::Result<Self>> {
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
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_those_of_the_text() {
        let e = Graph::parse(
            "graph(%0: f32[2]) {\n  %1: f32[] = reduce[kind=mean, axes=[0]](%0)\n  return %1\n}",
        )
        .unwrap_err()
        .to_string();
        assert!(e.contains("line 2: `mean` is none of sum, prod, max, min"), "{e}");
    }

    fn printed(l: &Literal) -> String {
        let mut p = Printer::default();
        l.print(&mut p);
        p.finish()
    }

    fn constant(text: &str) -> Result<Graph> {
        let ty = text.split(' ').next().unwrap();
        Graph::parse(&format!("graph() {{ %0: {ty} = constant[value={text}]() return %0 }}"))
    }

    #[test]
    fn few_numbers_are_readable_and_come_back() {
        for (dtype, numbers, text) in [
            (DType::F32, vec![1.0, -0.0, 1e-7], "f32[3] {1.0, -0.0, 1e-7}"),
            (DType::F32, vec![f64::INFINITY, 0.1], "f32[2] {inf, 0.1}"),
            (DType::F64, vec![0.1], "f64[1] {0.1}"),
            (DType::BF16, vec![0.5], "bf16[1] {0.5}"),
            (DType::F8E4M3FN, vec![448.0], "f8e4m3fn[1] {448.0}"),
            (DType::I4, vec![-8.0, 7.0, 1.0], "i4[3] {-8, 7, 1}"),
            (DType::U64, vec![3.0], "u64[1] {3}"),
            (DType::Bool, vec![1.0, 0.0], "bool[2] {true, false}"),
        ] {
            let l = Literal::from_f64s(dtype, [numbers.len()], &numbers);
            assert_eq!(printed(&l), text);
            assert_eq!(constant(text).unwrap().to_string().matches(text).count(), 1, "{text}");
        }
        assert_eq!(printed(&Literal::scalar(DType::F32, 1.0)), "f32[] 1.0");
        assert!(
            constant("f32[] 0x0000803f").unwrap().to_string().contains("f32[] 1.0"),
            "hexadecimal is read, too"
        );
    }

    #[test]
    fn what_numbers_would_not_keep_stays_hexadecimal() {
        let many = Literal::from_f64s(DType::U8, [9], &[0.0; 9]);
        let payload = Literal::from_slice([], &[f32::from_bits(0x7fc0_0001)]).unwrap();
        let large = Literal::from_slice([], &[u64::MAX]).unwrap();
        for l in [
            many,
            payload,
            large,
            Literal::zeros(Type::new(DType::F32, [0])),
            Literal::zeros(Type::scalar(DType::C64)),
        ] {
            let text = printed(&l);
            assert!(text.contains(" 0x"), "{text}");
            assert!(constant(&text).unwrap().to_string().contains(&text), "{text}");
        }
    }

    #[test]
    fn wrong_numbers_are_refused() {
        for text in [
            "f32[2] {1.0}",
            "f32[1] 1.0",
            "f32[] x",
            "u8[] 300",
            "u8[] 1.5",
            "bool[] 1",
            "c64[] 1.0",
            "f32[] 0x00",
            "f32[2] {1.0, 2.0, 3.0}",
        ] {
            assert!(constant(text).is_err(), "{text}");
        }
    }
}
