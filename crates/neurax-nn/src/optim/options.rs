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

/// Defines the options of weight decay of an optimizer with a field `weight_decay`. It is decoupled
/// unless `place`, a sentence for users, says otherwise.
macro_rules! decay_options {
    ($Optimizer:ident) => {
        $crate::optim::options::decay_options! {
            $Optimizer,
            "It is decoupled, as in AdamW: it is added behind all averages, in front of the rate."
        }
    };
    ($Optimizer:ident, $place:literal) => {
        impl $Optimizer {
            /// Sets the [weight decay](super::weight_decay) of all parameters, at least 0; by
            /// default, there is none.
            ///
            #[doc = $place]
            pub fn weight_decay(self, decay: f64) -> $Optimizer {
                $Optimizer { weight_decay: Some(super::weight_decay(decay)), ..self }
            }

            /// Sets the [weight decay](super::weight_decay) of the parameters that `mask` chooses,
            /// e.g. [`ParamMask::kernels`](crate::ParamMask::kernels); the others have none.
            ///
            #[doc = $place]
            pub fn weight_decay_of(
                self,
                mask: impl Into<crate::ParamMask>,
                decay: f64,
            ) -> $Optimizer {
                let decay = super::masked(mask, super::weight_decay(decay));
                $Optimizer { weight_decay: Some(decay), ..self }
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

        $crate::optim::options::with_default!($Optimizer);
    };
}
pub(super) use with_rate;

/// Defines the momentum of the steps of an optimizer with a field `trace` and a method `direction`:
/// it is behind the learning rate. Defines `rate`, `transform` and the default.
macro_rules! with_momentum_of_steps {
    ($Optimizer:ident) => {
        $crate::optim::options::options! { impl $Optimizer {
            /// Sets the momentum of the steps; 0 is none.
            momentum: f64 = trace.momentum;
        } }

        impl $Optimizer {
            /// Makes the momentum, which must be above 0, that of Nesterov: see
            /// [`Momentum::nesterov`](super::Momentum::nesterov).
            pub fn nesterov(mut self) -> $Optimizer {
                self.trace.is_nesterov = true;
                self
            }

            /// Returns the optimizer of these options with a learning rate.
            pub fn rate(self, rate: impl super::Rate) -> super::Optim {
                let momentum = self.trace.of_steps();
                super::chain([self.direction(), super::scale(rate), momentum])
            }

            /// Returns the direction without a learning rate, for custom chains; a momentum is that
            /// of the directions.
            pub fn transform(self) -> super::Optim {
                let momentum = self.trace.of_steps();
                super::chain([self.direction(), momentum])
            }
        }

        $crate::optim::options::with_default!($Optimizer);
    };
}
pub(super) use with_momentum_of_steps;

/// Makes `new` the default of a struct of options.
macro_rules! with_default {
    ($Options:ident) => {
        impl Default for $Options {
            fn default() -> $Options {
                $Options::new()
            }
        }
    };
}
pub(super) use with_default;

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

/// Returns a direction followed by weight decay, if there is one.
pub(super) fn with_decay(decay: Option<Optim>, direction: Optim) -> Optim {
    match decay {
        Some(decay) => chain([direction, decay]),
        None => direction,
    }
}
