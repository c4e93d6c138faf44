//! `+`, `-`, `*`, `/` of sparse tensors, and of sparse tensors and numbers.

use crate::Coo;
use std::ops::{Add, Div, Mul, Neg, Sub};

impl Neg for &Coo {
    type Output = Coo;
    #[track_caller]
    fn neg(self) -> Coo {
        self.with_values(-self.values())
    }
}

impl Mul<f64> for &Coo {
    type Output = Coo;
    #[track_caller]
    fn mul(self, by: f64) -> Coo {
        self.with_values(self.values() * by)
    }
}

impl Div<f64> for &Coo {
    type Output = Coo;
    #[track_caller]
    fn div(self, by: f64) -> Coo {
        self.with_values(self.values() / by)
    }
}

impl Add for &Coo {
    type Output = Coo;
    #[track_caller]
    fn add(self, other: &Coo) -> Coo {
        Coo::add(self, other)
    }
}

impl Sub for &Coo {
    type Output = Coo;
    #[track_caller]
    fn sub(self, other: &Coo) -> Coo {
        Coo::add(self, &-other)
    }
}
