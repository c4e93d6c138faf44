//! The options of checks of derivatives: [`GradCheckOptions`].

/// The options of [`super::check_grads_with`].
///
/// ```
/// use neurax::testing::GradCheckOptions;
/// let options = GradCheckOptions::new().order(1).forward_only().step(1e-4).tolerance(1e-5);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GradCheckOptions {
    pub(super) order: usize,
    pub(super) forward: bool,
    pub(super) reverse: bool,
    pub(super) step: Option<f64>,
    pub(super) tolerance: Option<f64>,
    pub(super) seed: u64,
}

impl Default for GradCheckOptions {
    fn default() -> GradCheckOptions {
        GradCheckOptions::new()
    }
}

impl GradCheckOptions {
    /// Creates the default options: first and second order, both modes, a step and a tolerance
    /// chosen by dtype (1e-3 and 1e-6 in double precision; 1/32 and 2e-3 if a leaf is f32 or c64).
    ///
    /// ```
    /// use neurax::{prelude::*, testing::{GradCheckOptions, check_grads_with}};
    /// check_grads_with(|x: Tensor| x.sin(), &tensor([0.5, 2.0]), &GradCheckOptions::new())?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn new() -> GradCheckOptions {
        let (step, tolerance) = (None, None);
        GradCheckOptions { order: 2, forward: true, reverse: true, step, tolerance, seed: 0 }
    }

    /// Sets the highest order that is checked: 1 or 2.
    ///
    /// ```
    /// use neurax::{prelude::*, testing::{GradCheckOptions, check_grads_with}};
    /// // The gradient is right at first order and a constant.
    /// let frozen = |x: Tensor| &x * stop_gradient(&x) * 2.0 - stop_gradient(&(&x * &x));
    /// check_grads_with(frozen, &tensor(2.0), &GradCheckOptions::new().order(1))?;
    /// assert!(check_grads_with(frozen, &tensor(2.0), &GradCheckOptions::new().order(2)).is_err());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn order(mut self, order: usize) -> Self {
        self.order = order;
        self
    }

    /// Checks forward mode only, for functions without a reverse mode (`while_loop`, `custom_jvp`
    /// with a rule that is not linear).
    ///
    /// ```
    /// use neurax::{prelude::*, testing::{GradCheckOptions, check_grads_with}};
    /// let f = |x: Tensor| while_loop(x, |x| x.lt(100.0), |x| x * 2.0);
    /// let options = GradCheckOptions::new().order(1);
    /// check_grads_with(f, &tensor(3.0), &options.clone().forward_only())?;
    /// assert!(check_grads_with(f, &tensor(3.0), &options).is_err(), "there is no reverse mode");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn forward_only(mut self) -> Self {
        (self.forward, self.reverse) = (true, false);
        self
    }

    /// Checks reverse mode only, for functions without a forward mode (`custom_vjp`).
    ///
    /// ```
    /// use neurax::{prelude::*, testing::{GradCheckOptions, check_grads_with}};
    /// let backward = |(x, dy): (Tensor, Tensor)| dy * x.cos();
    /// let f = custom_vjp(|x: Tensor| x.sin(), |x: Tensor| (x.sin(), x), backward);
    /// let options = GradCheckOptions::new().order(1);
    /// check_grads_with(&f, &tensor(0.5), &options.clone().reverse_only())?;
    /// assert!(check_grads_with(&f, &tensor(0.5), &options).is_err(), "there is no forward mode");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn reverse_only(mut self) -> Self {
        (self.forward, self.reverse) = (false, true);
        self
    }

    /// Sets the step of the differences.
    ///
    /// ```
    /// use neurax::{prelude::*, testing::{GradCheckOptions, check_grads_with}};
    /// let square = |x: Tensor| x.square();
    /// check_grads_with(square, &tensor([0.5, 2.0]), &GradCheckOptions::new().step(0.1))?;
    /// let none = GradCheckOptions::new().step(0.0);
    /// let e = check_grads_with(square, &tensor(1.0), &none).unwrap_err();
    /// assert_eq!(e.message(), "expected a positive step, got 0");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn step(mut self, step: f64) -> Self {
        self.step = Some(step);
        self
    }

    /// Sets the absolute tolerance, and the tolerance relative to the expected derivative.
    ///
    /// ```
    /// use neurax::{prelude::*, testing::{GradCheckOptions, check_grads_with}};
    /// // A rule that is wrong by 1 %.
    /// let rule = |(x, _, dx): (Tensor, Tensor, Tensor)| x.cos() * dx * 1.01;
    /// let f = custom_tangent(|x: Tensor| x.sin(), rule);
    /// let options = GradCheckOptions::new().order(1);
    /// assert!(check_grads_with(&f, &tensor(0.5), &options).is_err());
    /// check_grads_with(&f, &tensor(0.5), &options.tolerance(0.1))?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = Some(tolerance);
        self
    }

    /// Sets the seed of the random directions.
    ///
    /// ```
    /// use neurax::{prelude::*, testing::{GradCheckOptions, check_grads_with}};
    /// for seed in 0..3 {
    ///     let options = GradCheckOptions::new().seed(seed);
    ///     check_grads_with(|x: Tensor| x.exp(), &tensor(0.5), &options)?;
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}
