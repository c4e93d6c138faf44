macro_rules! pending {
    ($($N:ident),*) => {$(
        impl super::Primitive for $N {
            fn name(&self) -> &'static str { pending_name!(self, $N) }
            fn infer(&self, _: &[crate::Type]) -> crate::Result<Vec<crate::Type>> { super::rules::refuse("pending", "pending") }
            fn eval(&self, _: &mut crate::Eval, _: Vec<crate::Literal>) -> crate::Result<Vec<crate::Literal>> { super::rules::refuse("pending", "pending") }
            fn jvp(&self, _: &mut crate::Builder, _: &super::Bound, _: &[super::Tangent]) -> crate::Result<Vec<super::Tangent>> { super::rules::refuse("pending", "pending") }
            fn transpose(&self, _: &mut crate::Builder, _: &super::Bound, _: &[bool], _: &[Option<crate::Value>]) -> super::Transposed { super::Transposed::NotLinear }
            fn batch(&self, _: &mut crate::Builder, _: &super::Axis, _: &[crate::Value], _: &[Option<usize>]) -> crate::Result<super::Batched> { super::rules::refuse("pending", "pending") }
            fn samples() -> Vec<super::Sample> { vec![] }
        }
    )*};
}
macro_rules! pending_name {
    ($s:ident, Unary) => {
        (*$s).name()
    };
    ($s:ident, Binary) => {
        (*$s).name()
    };
    ($s:ident, $N:ident) => {
        $N::NAME
    };
}
macro_rules! pending_region {
    ($($N:ident),*) => {$(
        impl super::Region for $N {
            fn graphs(&self) -> Vec<std::sync::Arc<crate::Graph>> { vec![] }
            fn map_graphs(&self, _: &mut dyn FnMut(&crate::Graph) -> crate::Result<crate::Graph>) -> crate::Result<crate::Op> { Ok(self.clone().into()) }
            fn jvp_region(&self, _: &mut crate::Builder, _: &[crate::Value], _: &[super::Tangent], _: bool) -> crate::Result<(crate::Values, Vec<super::Tangent>)> { super::rules::refuse("pending", "") }
            fn dce(&self, _: &[bool]) -> Option<super::Pruned> { None }
            fn hoist(&self, _: &mut crate::Builder, _: &[crate::Value]) -> Option<crate::Values> { None }
        }
    )*};
}
