//! Options of optimizers and schedules as methods of structs, e.g. [`Adam`](super::Adam).

use super::{Optim, chain};

/// Defines the options of an optimizer: methods that set a field.
macro_rules! options {
    (impl $Optimizer:ident { $(
        $(#[$doc:meta])* $name:ident: $T:ty = $($field:ident).+;
    )* }) => {
        impl $Optimizer {$(
            $(#[$doc])*
            pub fn $name(mut self, $name: $T) -> $Optimizer {
                self.$($field).+ = $name;
                self
            }
        )*}
    };
}
pub(super) use options;

/// Defines the options of an optimizer with a field `moments`, and further ones.
macro_rules! moment_options {
    (impl $Optimizer:ident { $($further:tt)* }) => {
        $crate::optim::options::options! { impl $Optimizer {
            /// Sets β₁, the decay of the moving average of the gradients.
            b1: f64 = moments.b1;
            /// Sets β₂, the decay of the second moving average, which the root is taken of.
            b2: f64 = moments.b2;
            /// Sets ε, which is added to the root.
            eps: f64 = moments.eps;
            $($further)*
        } }
    };
}
pub(super) use moment_options;

/// Defines the option of an optimizer with a field `moments` whose average is a radicand.
macro_rules! eps_root_option {
    ($Optimizer:ident) => {
        $crate::optim::options::options! { impl $Optimizer {
            /// Sets the number that is added to the corrected average of squares under the root, by
            /// default 0. The derivative of a step at gradients of 0 is small with a number above.
            eps_root: f64 = moments.eps_root;
        } }
    };
}
pub(super) use eps_root_option;

/// Defines the options of weight decay of an optimizer with a field `decay`.
macro_rules! decay_options {
    ($Optimizer:ident) => {
        impl $Optimizer {
            /// Sets the decoupled weight decay of all parameters: see
            /// [`weight_decay`](super::weight_decay). There is none by default.
            pub fn weight_decay(self, decay: f64) -> $Optimizer {
                $Optimizer { decay: Some(super::weight_decay(decay)), ..self }
            }

            /// Sets the decoupled weight decay of the parameters that `mask` chooses, e.g.
            /// [`ParamMask::kernels`](crate::ParamMask::kernels).
            pub fn weight_decay_of(
                self,
                mask: impl Into<crate::ParamMask>,
                decay: f64,
            ) -> $Optimizer {
                let decay = super::masked(mask, super::weight_decay(decay));
                $Optimizer { decay: Some(decay), ..self }
            }
        }
    };
}
pub(super) use decay_options;

/// Defines `rate` of an optimizer with a method `transform`, and its default.
macro_rules! with_rate {
    ($Optimizer:ident) => {
        impl $Optimizer {
            /// Returns the optimizer of these options with a learning rate.
            pub fn rate(self, rate: impl super::Rate) -> super::Optim {
                super::chain([self.transform(), super::scale(rate)])
            }
        }

        impl Default for $Optimizer {
            fn default() -> $Optimizer {
                $Optimizer::new()
            }
        }
    };
}
pub(super) use with_rate;

/// Makes the options of a schedule a rate.
macro_rules! schedule_options {
    ($Schedule:ident) => {
        impl Rate for $Schedule {
            fn rate(self) -> Result<f64, Schedule> {
                Err(self.schedule())
            }
        }
    };
}
pub(super) use schedule_options;

/// Returns a direction with weight decay, if there is one.
pub(super) fn with_decay(direction: Optim, decay: Option<Optim>) -> Optim {
    match decay {
        Some(decay) => chain([direction, decay]),
        None => direction,
    }
}
