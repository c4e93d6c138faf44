//! `#[derive(Tree)]` for structs and enums with named fields, tuple fields or none, and generics.
//! `#[tree(static)]` marks fields that are not tensors. `#[derive(LayerOutput)]` for structs of the
//! outputs of a layer.
//!
//! Users import it with `neurax::prelude`, together with the trait `Tree`, which documents trees.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod layer_output;

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{
    Attribute, Data, DeriveInput, Fields, Ident, Member, ext::IdentExt, parse_macro_input,
    parse_quote, spanned::Spanned,
};

/// Implements `Tree` for a struct or enum: it may be an argument or result of transforms, be
/// differentiated with respect to, and be saved.
///
/// Each field is a tree or marked `#[tree(static)]`. Static fields are part of the program and need
/// `PartialEq + Clone + Send + Sync`. The variant of an enum is static.
#[proc_macro_derive(Tree, attributes(tree))]
pub fn derive_tree(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    expand(&input).unwrap_or_else(|e| e.to_compile_error()).into()
}

/// Implements `LayerOutput` for a struct with one type parameter, the type of its outputs: a layer
/// returns it with tensors, and the node method with nodes.
///
/// Each field has the type of the parameter, or is an array, tuple or struct of such outputs.
#[proc_macro_derive(LayerOutput)]
pub fn derive_layer_output(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    layer_output::expand(&input).unwrap_or_else(|e| e.to_compile_error()).into()
}

/// The match arms of the methods, one for each variant.
#[derive(Default)]
struct Arms {
    visit: Vec<TokenStream>,
    rebuild: Vec<TokenStream>,
    into_leaves: Vec<TokenStream>,
    /// The fields of `of_error`, for a struct without static fields only.
    of_error: Option<Vec<TokenStream>>,
}

/// Returns the implementation of `Tree`.
///
/// # Errors
/// For a union, and for an attribute `#[tree(..)]` other than `static`.
fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let name = &input.ident;
    let mut generics = input.generics.clone();
    for p in input.generics.type_params() {
        let id = &p.ident;
        generics.make_where_clause().predicates.push(parse_quote!(#id: ::neurax::Tree));
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let mut arms = Arms::default();
    match &input.data {
        Data::Struct(s) => arms.add(&quote!(Self), &s.fields, None)?,
        Data::Enum(e) => {
            for v in &e.variants {
                let id = &v.ident;
                arms.add(&quote!(Self::#id), &v.fields, Some(id.unraw().to_string()))?;
            }
        }
        Data::Union(_) => {
            return Err(syn::Error::new(
                name.span(),
                "Tree cannot be derived for a union: use an enum",
            ));
        }
    }
    let Arms { visit, rebuild, into_leaves, of_error } = arms;
    let of_error = of_error.map_or_else(
        || quote!(::core::option::Option::None),
        |f| quote!(::core::option::Option::Some(Self { #(#f),* })),
    );
    // An enum without variants has no value to match on by reference.
    let (by_ref, by_value) =
        if visit.is_empty() { (quote!(*self), quote!(self)) } else { (quote!(self), quote!(self)) };
    Ok(quote! {
        #[automatically_derived]
        #[allow(
            unused_variables,
            clippy::all,
            reason = "generated code is checked here, not by the user's lints"
        )]
        impl #impl_generics ::neurax::Tree for #name #type_generics #where_clause {
            fn visit<'__t>(&'__t self, __v: &mut ::neurax::tree::Visitor<'_, '__t>) {
                match #by_ref { #(#visit)* }
            }
            fn rebuild(&self, __next: &mut dyn ::core::ops::FnMut() -> ::neurax::Tensor) -> Self {
                match #by_ref { #(#rebuild),* }
            }
            fn into_leaves(self, __out: &mut ::std::vec::Vec<::neurax::Tensor>) {
                match #by_value { #(#into_leaves)* }
            }
            fn of_error(__e: &::neurax::Error) -> ::core::option::Option<Self> {
                #of_error
            }
        }
    })
}

impl Arms {
    /// Adds the arms of one variant, or of a struct if `variant` is `None`.
    fn add(
        &mut self,
        path: &TokenStream,
        fields: &Fields,
        variant: Option<String>,
    ) -> syn::Result<()> {
        let (mut patterns, mut visit, mut rebuild, mut into) = (vec![], vec![], vec![], vec![]);
        let mut of_error = variant.is_none().then(Vec::new);
        for (i, f) in fields.iter().enumerate() {
            let (ty, bound) = (&f.ty, format_ident!("__f{i}"));
            let member: Member = f.ident.clone().map_or_else(|| i.into(), Into::into);
            let key = f.ident.as_ref().map_or_else(|| i.to_string(), |x| x.unraw().to_string());
            patterns.push(quote!(#member: #bound));
            // The span of the field's type: a missing impl is reported at the user's field.
            let span = ty.span();
            if is_static(&f.attrs)? {
                visit.push(quote_spanned!(span=> __v.fixed(#key, #bound);));
                rebuild.push(
                    quote_spanned!(span=> #member: <#ty as ::core::clone::Clone>::clone(#bound)),
                );
                into.push(quote!(let _ = #bound;));
                of_error = None;
            } else {
                let tree = quote_spanned!(span=> <#ty as ::neurax::Tree>);
                visit
                    .push(quote_spanned!(span=> __v.child(#key, |__v| #tree::visit(#bound, __v));));
                rebuild.push(quote_spanned!(span=> #member: #tree::rebuild(#bound, __next)));
                into.push(quote_spanned!(span=> #tree::into_leaves(#bound, __out);));
                if let Some(fields) = &mut of_error {
                    fields.push(quote_spanned!(span=> #member: #tree::of_error(__e)?));
                }
            }
        }
        let tag = variant.map(|v| quote!(__v.fixed("variant", &#v);));
        self.of_error = of_error;
        self.visit.push(quote!(#path { #(#patterns),* } => { #tag #(#visit)* }));
        self.rebuild.push(quote!(#path { #(#patterns),* } => #path { #(#rebuild),* }));
        self.into_leaves.push(quote!(#path { #(#patterns),* } => { #(#into)* }));
        Ok(())
    }
}

/// Returns true if the field is marked `#[tree(static)]`.
///
/// # Errors
/// When it has another `#[tree(..)]` attribute.
fn is_static(attrs: &[Attribute]) -> syn::Result<bool> {
    let mut found = false;
    for a in attrs.iter().filter(|a| a.path().is_ident("tree")) {
        // `static` is a keyword, so it is parsed as any identifier.
        let word: Ident = a.parse_args_with(Ident::parse_any)?;
        if word != "static" {
            return Err(syn::Error::new(
                word.span(),
                "expected `static`: #[tree(static)] marks a field that is not a tensor",
            ));
        }
        found = true;
    }
    Ok(found)
}
