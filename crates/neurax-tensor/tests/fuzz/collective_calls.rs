//! A random call of every collective, by the entries of a tensor along a named axis.

use crate::{
    calls::{Call, calls},
    draw::Draw,
};
use neurax::prelude::*;

/// The named axis.
const MEMBERS: &str = "members";

/// Returns `f` of every entry of the first tensor along axis 0, the members of the named axis.
fn mapped(d: &Draw, f: impl Fn(Tensor) -> Tensor + Send + Sync) -> Vec<Tensor> {
    let axes = Axes { name: Some(MEMBERS), ..Axes::default() };
    vec![vmap_with(f, axes)(d.x.clone())]
}

/// Returns pairs of members, most of which there are.
fn pairs(d: &mut Draw) -> Vec<(usize, usize)> {
    let n = d.rng.below(4);
    let of_cycle = (0..n).map(|i| (i, (i + 1) % n));
    if d.rng.one_in(2) {
        of_cycle.collect()
    } else {
        (0..n).map(|_| (d.size(), d.size())).collect()
    }
}

calls! { COLLECTIVES:
    "psum" => |d| mapped(d, |x| psum(&x, MEMBERS));
    "pmax" => |d| mapped(d, |x| pmax(&x, MEMBERS));
    "pmin" => |d| mapped(d, |x| pmin(&x, MEMBERS));
    "pmean" => |d| mapped(d, |x| pmean(&x, MEMBERS));
    "all_gather" => |d| mapped(d, |x| all_gather(&x, MEMBERS));
    "axis_index" => |d| mapped(d, |x| x + axis_index(MEMBERS));
    "axis_size" => |d| mapped(d, |x| x + axis_size(MEMBERS).unwrap_or(0));
    "pbroadcast" => |d| {
        let source = d.size();
        mapped(d, move |x| pbroadcast(&x, MEMBERS, source))
    };
    "ppermute" => |d| { let pairs = pairs(d); mapped(d, move |x| ppermute(&x, MEMBERS, &pairs)) };
    "psum_scatter" => |d| {
        let axis = d.axis();
        mapped(d, move |x| psum_scatter(&x, MEMBERS, axis))
    };
    "all_to_all" => |d| {
        let (split, to) = (d.axis(), d.axis());
        mapped(d, move |x| all_to_all(&x, MEMBERS, split, to))
    };
    // Every member has an entry for every member.
    "square" => |d| {
        let n = d.x.shape()[0].min(4);
        let x = d.x.flatten().resize([n, n, 2]);
        let split = d.rng.pick(&[0, 1]);
        mapped(&Draw::new(d.rng.clone(), vec![x]), move |x| {
            all_to_all(&x, MEMBERS, split, 1).sum(..) + psum_scatter(&x, MEMBERS, 0).sum(..)
        })
    };
    "outside of the axis" => |d| vec![psum(&d.x, MEMBERS), ppermute(&d.x, MEMBERS, &[(0, 0)])];
}
