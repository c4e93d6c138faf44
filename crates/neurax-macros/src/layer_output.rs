//! `#[derive(LayerOutput)]`: structs of outputs of a layer.
//!
//! The struct has one type parameter, the type of its outputs, so that the same struct holds
//! tensors in the layer and nodes in the model:
//!
//! ```text
//! struct Moments<T> { mean: T, var: T }
//!
//! impl<T: LayerOutput> LayerOutput for Moments<T> {
//!     type Nodes = Moments<T::Nodes>;
//!     ..
//! }
//! impl<T: BlockOutput> BlockOutput for Moments<T> { .. }
//! ```

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{
    Data, DeriveInput, Fields, Generics, Ident, Member, Type, parse_quote, spanned::Spanned,
};

/// Returns the implementations of `LayerOutput`, for tensors, and of `BlockOutput`, for nodes.
///
/// # Errors
/// For an enum or union, and for a struct that has not exactly one parameter, a type.
pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let (name, param) = (&input.ident, parameter(input)?);
    let fields: Vec<(Member, &Type)> = fields(input)?
        .iter()
        .enumerate()
        .map(|(i, f)| (f.ident.clone().map_or_else(|| i.into(), Member::from), &f.ty))
        .collect();
    let output = quote!(::neurax::nn::LayerOutput);
    // The span of the field's type: a missing impl is reported at the user's field.
    let count =
        fields.iter().map(|(_, ty)| quote_spanned!(ty.span()=> + <#ty as #output>::count()));
    let append = fields.iter().map(
        |(member, ty)| quote_spanned!(ty.span()=> <#ty as #output>::append_to(self.#member, __to);),
    );
    let nodes = fields
        .iter()
        .map(|(member, ty)| quote_spanned!(ty.span()=> #member: <#ty as #output>::nodes(__next)));
    let bound = |output: &TokenStream| {
        let mut generics = input.generics.clone();
        generics.make_where_clause().predicates.push(parse_quote!(#param: #output));
        generics
    };
    let generics = bound(&output);
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let of_block = of_block(name, &fields, &bound(&quote!(::neurax::nn::BlockOutput)));
    Ok(quote! {
        #of_block
        #[automatically_derived]
        #[allow(
            unused_variables,
            clippy::all,
            reason = "generated code is checked here, not by the user's lints"
        )]
        impl #impl_generics #output for #name #type_generics #where_clause {
            type Nodes = #name<<#param as #output>::Nodes>;
            fn count() -> usize {
                0 #(#count)*
            }
            fn append_to(self, __to: &mut ::std::vec::Vec<::neurax::Tensor>) {
                #(#append)*
            }
            fn nodes(__next: &mut dyn ::core::ops::FnMut() -> ::neurax::nn::Node) -> Self::Nodes {
                #name { #(#nodes),* }
            }
        }
    })
}

/// Returns the implementation of `BlockOutput`.
fn of_block(name: &Ident, fields: &[(Member, &Type)], generics: &Generics) -> TokenStream {
    let output = quote!(::neurax::nn::BlockOutput);
    let mapped = fields.iter().map(|(member, ty)| {
        quote_spanned!(ty.span()=> #member: <#ty as #output>::map_nodes(&self.#member, __f))
    });
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        #[allow(
            unused_variables,
            clippy::all,
            reason = "generated code is checked here, not by the user's lints"
        )]
        impl #impl_generics #output for #name #type_generics #where_clause {
            fn map_nodes(
                &self,
                __f: &mut dyn ::core::ops::FnMut(&::neurax::nn::Node) -> ::neurax::nn::Node,
            ) -> Self {
                #name { #(#mapped),* }
            }
        }
    }
}

/// Returns the type parameter of a struct.
///
/// # Errors
/// If it is not the only parameter.
fn parameter(input: &DeriveInput) -> syn::Result<&Ident> {
    match (input.generics.type_params().next(), input.generics.params.len()) {
        (Some(param), 1) => Ok(&param.ident),
        _ => {
            let why = format!(
                "expected one type parameter, the type of the outputs: \
                 `struct {}<T> {{ first: T, second: T }}`",
                input.ident
            );
            Err(syn::Error::new(input.ident.span(), why))
        }
    }
}

/// Returns the fields of a struct.
///
/// # Errors
/// For an enum or union.
fn fields(input: &DeriveInput) -> syn::Result<&Fields> {
    match &input.data {
        Data::Struct(s) => Ok(&s.fields),
        Data::Enum(_) | Data::Union(_) => {
            let why = "LayerOutput can be derived for a struct only: a layer has the same outputs \
                       in every call";
            Err(syn::Error::new(input.ident.span(), why))
        }
    }
}
