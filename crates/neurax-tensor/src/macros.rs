//! The macros `dims!` and `types!`, and the constants for dtypes.

/// A shape with open dimensions: `dims![_, 784]`, `dims!["batch", n * 2]`. `_` is any size (in
/// `reshape`: inferred from the others), a string names a size.
///
/// ```
/// use neurax::prelude::*;
/// let x = Tensor::zeros([2, 6]);
/// let b = x.dim(0);
/// assert_eq!(x.reshape(dims![b, 3, _]).shape(), [2, 3, 2]);
/// ```
#[macro_export]
macro_rules! dims {
    (@ [$($o:expr),*]) => { [$($o),*] };
    (@ [$($o:expr),*] _ , $($r:tt)*) => { $crate::dims!(@ [$($o,)* $crate::Dim::Any] $($r)*) };
    (@ [$($o:expr),*] _) => { [$($o,)* $crate::Dim::Any] };
    (@ [$($o:expr),*] $e:expr , $($r:tt)*) => {
        $crate::dims!(@ [$($o,)* $crate::Dim::from($e)] $($r)*)
    };
    (@ [$($o:expr),*] $e:expr) => { [$($o,)* $crate::Dim::from($e)] };
    ($($t:tt)*) => { $crate::dims!(@ [] $($t)*) };
}

/// An array of types with open or fixed dimensions: `types![f32[1, 30], i32[_, "tokens"], bf16[]]`.
///
/// ```
/// use neurax::prelude::*;
/// let [features, tokens] = types![f32[1, 30], i32[_, "tokens"]];
/// assert_eq!(features.to_string(), "f32[1, 30]");
/// assert_eq!(tokens.to_string(), "i32[_, tokens]");
/// ```
#[macro_export]
macro_rules! types {
    ($($d:ident [ $($t:tt)* ]),* $(,)?) => {
        [$($crate::TypeSpec {
            dtype: $crate::dtypes::$d,
            dims: ::std::vec::Vec::<$crate::Dim>::from($crate::dims![$($t)*]),
        }),*]
    };
}

/// The dtypes in lower case, as [`crate::types!`] reads them.
#[allow(non_upper_case_globals, missing_docs, reason = "these are the names that `types!` reads")]
pub mod dtypes {
    use neurax_ir::DType;
    macro_rules! lower {
        ($($l:ident = $U:ident),*) => { $(pub const $l: DType = DType::$U;)* };
    }
    lower!(
        bool = Bool,
        u1 = U1,
        u2 = U2,
        u4 = U4,
        u8 = U8,
        u16 = U16,
        u32 = U32,
        u64 = U64,
        i1 = I1,
        i2 = I2,
        i4 = I4,
        i8 = I8,
        i16 = I16,
        i32 = I32,
        i64 = I64
    );
    lower!(
        f4e2m1fn = F4E2M1FN,
        f6e2m3fn = F6E2M3FN,
        f6e3m2fn = F6E3M2FN,
        f8e3m4 = F8E3M4,
        f8e4m3 = F8E4M3,
        f8e4m3b11fnuz = F8E4M3B11FNUZ,
        f8e4m3fn = F8E4M3FN,
        f8e4m3fnuz = F8E4M3FNUZ,
        f8e5m2 = F8E5M2,
        f8e5m2fnuz = F8E5M2FNUZ,
        f8e8m0fnu = F8E8M0FNU,
        f16 = F16,
        bf16 = BF16,
        f32 = F32,
        f64 = F64,
        c64 = C64,
        c128 = C128
    );
}

/// The dtypes in upper case, as the prelude exports them: `x.to(F32)`.
#[allow(missing_docs, reason = "the constants are the names of the types")]
pub mod dtype_consts {
    use neurax_ir::DType;
    macro_rules! upper {
        ($($U:ident),*) => { $(pub const $U: DType = DType::$U;)* };
    }
    upper!(
        U1,
        U2,
        U4,
        U8,
        U16,
        U32,
        U64,
        I1,
        I2,
        I4,
        I8,
        I16,
        I32,
        I64,
        F4E2M1FN,
        F6E2M3FN,
        F6E3M2FN,
        F8E3M4,
        F8E4M3,
        F8E4M3B11FNUZ,
        F8E4M3FN,
        F8E4M3FNUZ,
        F8E5M2,
        F8E5M2FNUZ,
        F8E8M0FNU,
        F16,
        BF16,
        F32,
        F64,
        C64,
        C128
    );
    pub const BOOL: DType = DType::Bool;
}
