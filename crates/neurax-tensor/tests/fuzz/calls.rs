//! A random call of every function in `docs/functions.md`, and of every collective.

use crate::draw::Draw;
use neurax::{
    CategoricalOptions, ChoiceOptions, Indexing, MatrixNorm, MultivariateNormalOptions, PadMode,
    Side, SortOptions, Triangle, block_diag, concat, dot_product_attention, einsum, hstack, matmul,
    meshgrid, multi_dot, prelude::*, stack, step, toeplitz, vstack, where_,
};

/// A function by its name in `docs/functions.md`, and a call of it.
pub type Call = (&'static str, fn(&mut Draw) -> Vec<Tensor>);

/// Defines a list of calls: `"name" => |d| tensors;`.
macro_rules! calls {
    ($list:ident: $($name:literal => |$d:ident| $call:expr;)*) => {
        pub const $list: &[Call] = &[$(($name, |$d| $call)),*];
    };
}
pub(crate) use calls;

/// Defines a list of methods that are called without arguments, or all with one of the same kind,
/// a method of [`Draw`].
macro_rules! methods {
    ($list:ident: $($f:ident)*) => {
        const $list: &[Call] = &[$((concat!("x.", stringify!($f)), |d| vec![d.x.$f()])),*];
    };
    ($list:ident($kind:path): $($f:ident)*) => {
        const $list: &[Call] = &[$((concat!("x.", stringify!($f)), |d| {
            let argument = $kind(d);
            vec![d.x.$f(argument)]
        })),*];
    };
}

methods! { UNARY:
    relu relu6 silu selu softplus softsign squareplus log_sigmoid hard_tanh hard_sigmoid hard_silu
    mish tanh_shrink sparse_plus sparse_sigmoid log1mexp logical_not zeros_like ones_like sin cos
    tan asin acos atan sinh cosh tanh
    fft ifft rfft irfft hfft ihfft fft2 ifft2 rfft2 irfft2 fftn ifftn rfftn irfftn
    asinh acosh atanh exp expm1 log log1p sqrt rsqrt cbrt sigmoid erf erfc erf_inv lgamma digamma
    i0e i1e real imag conj abs sign negative bitwise_not population_count count_leading_zeros floor
    ceil round round_half_away trunc square reciprocal exp2 log2 log10 deg2rad rad2deg logit is_nan
    is_inf is_pos_inf is_neg_inf is_real is_complex spacing angle is_finite sinc ndtr signbit
    nan_to_num t transpose flatten atleast_1d atleast_2d atleast_3d ediff1d poly corrcoef entr
    gammasgn gamma factorial i0 i1 erfcx log_ndtr ndtri erfcinv exp1 expi spence dawsn wofz loggamma
    adjoint cholesky svdvals eigvalsh inv det cond matrix_rank pinv expm eigvals sqrtm
}

methods! { BINARY(Draw::operand):
    leaky_relu cross_entropy equal not_equal lt le gt ge array_equal logical_and logical_or
    logical_xor maximum minimum pow fmod bitwise_and bitwise_or bitwise_xor left_shift complex
    right_shift atan2 hypot logaddexp logaddexp2 float_power copysign nextafter polygamma xlogy
    gammainc gammaincc igamma_grad_a random_gamma_grad zeta expn owens_t
    xlog1py fmax fmin ldexp rel_entr kl_div betaln beta poch comb boxcox boxcox1p heaviside
    floor_divide remainder gcd lcm mulhi array_equiv dot vdot inner outer kron cross matmul solve
    cho_solve lstsq
}

methods! { OVER_AXES(Draw::axes):
    softmax log_softmax logsumexp all any flip sum prod mean max min count_nonzero ptp nansum
    nanprod nanmean nanmax nanmin norm permute squeeze median argmax argmin mode logmeanexp
    nanmedian reduce_and reduce_or reduce_xor collapse fftshift ifftshift
}

methods! { ALONG_AXIS(Draw::axis):
    glu cumsum cumprod cummax cummin cumlogsumexp nancumsum nancumprod get nanargmax nanargmin
    expand_dims sort argsort
    packbits unpackbits
}

methods! { OFFSETS(Draw::int): tril triu diag trace diagflat }

methods! { FLOATS(Draw::float): elu celu hard_shrink soft_shrink }

methods! { FFT_OPTIONS(Draw::fft):
    fft_with ifft_with rfft_with irfft_with hfft_with ihfft_with fft2_with ifft2_with rfft2_with
    irfft2_with fftn_with ifftn_with rfftn_with irfftn_with
}

methods! { SIZES(Draw::size): one_hot cov bincount multigammaln polyder bessel_jn }

calls! { OTHERS:
    "x.gelu" => |d| vec![d.x.gelu(d.rng.one_in(2))];
    "x.select" => |d| vec![{ let (a, b) = (d.operand(), d.operand()); d.x.select(a, b) }];
    "x.betainc" => |d| vec![{ let (b, x) = (d.operand(), d.operand()); d.x.betainc(b, x) }];
    "x.hyp1f1" => |d| vec![{ let (b, x) = (d.operand(), d.operand()); d.x.hyp1f1(b, x) }];
    "x.hyp2f1" => |d| vec![{
        let (b, c, x) = (d.operand(), d.operand(), d.operand());
        d.x.hyp2f1(b, c, x)
    }];
    "x.sici" => |d| { let (sine, cosine) = d.x.sici(); vec![sine, cosine] };
    "x.fresnel" => |d| { let (sine, cosine) = d.x.fresnel(); vec![sine, cosine] };
    "x.sph_harm_y" => |d| vec![{
        let (m, theta, phi, most) = (d.operand(), d.operand(), d.operand(), d.size());
        d.x.sph_harm_y(m, theta, phi, most)
    }];
    "Tensor::bernoulli" => |d| vec![Tensor::bernoulli(d.size())];
    "x.isclose" => |d| vec![{ let y = d.operand(); d.x.isclose(y, 0.1, 0.1) }];
    "x.allclose" => |d| vec![{ let (y, r) = (d.operand(), d.float()); d.x.allclose(y, r, r) }];
    "where_" => |d| vec![{ let (a, b) = (d.operand(), d.operand()); where_(&d.x, a, b) }];
    "tensor" => |d| vec![tensor(d.float() as f32), tensor([d.int(); 3])];
    "Tensor::full" => |d| vec![Tensor::full(d.shape(), d.float()), Tensor::full(d.size(), d.int())];
    "Tensor::full_of" => |d| vec![Tensor::full_of(d.dtype(), d.shape(), d.float())];
    "Tensor::zeros" => |d| vec![Tensor::zeros(d.shape()), Tensor::zeros([d.size(), d.size()])];
    "Tensor::zeros_of" => |d| vec![Tensor::zeros_of(d.dtype(), d.shape())];
    "Tensor::ones" => |d| vec![Tensor::ones(d.shape()), Tensor::ones([d.size(), d.size()])];
    "Tensor::ones_of" => |d| vec![Tensor::ones_of(d.dtype(), d.shape())];
    "Tensor::eye" => |d| vec![Tensor::eye(d.size())];
    "Tensor::arange" => |d| vec![Tensor::arange(d.size())];
    "Tensor::linspace" => |d| vec![Tensor::linspace(d.float(), d.float(), d.size())];
    "x.diff" => |d| vec![{ let (n, axis) = (d.size(), d.axis()); d.x.diff(n, axis) }];
    "x.trapezoid" => |d| vec![{ let (dx, axis) = (d.float(), d.axis()); d.x.trapezoid(dx, axis) }];
    "einsum" => |d| vec![{
        let formulas = ["ij,jk->ik", "i,i->", "ii->i", "ij->ji", "...i,...i->...", "ab", "a,b->",
            "->", "ij,kl", "i->ii", "i...->...", "aab->b", "..", "ij,jk->iz"];
        let formula = d.rng.pick(&formulas);
        einsum(formula, d.tensors())
    }];
    "dot_product_attention" => |d| vec![{
        let (k, v, options) = (d.tensor(), d.tensor(), d.attention());
        dot_product_attention(&d.x, &k, &v, options)
    }, {
        let (x, n) = (d.tensor().flatten(), d.x.size());
        let (kv, options) = (x.reshape([1, x.size(), 1, 1]), d.attention());
        dot_product_attention(&d.x.reshape([1, 1, n, 1]), &kv, &kv, options)
    }];
    "x.layer_norm" => |d| vec![{
        let (scale, bias, epsilon) = (d.tensor(), d.tensor(), d.float());
        d.x.layer_norm(Some(&scale), Some(&bias), epsilon)
    }, {
        let (bias, epsilon) = (d.rng.one_in(2).then(|| d.x.get(0)), d.float().abs());
        d.x.layer_norm(None, bias.as_ref(), epsilon)
    }];
    "x.rms_norm" => |d| vec![{
        let (scale, epsilon) = (d.rng.one_in(2).then(|| d.tensor()), d.float().abs());
        d.x.rms_norm(scale.as_ref(), epsilon)
    }];
    "x.batch_norm_training" => |d| {
        let (scale, axis, epsilon) = (d.x.get(0), d.axis(), d.float());
        let bias = d.tensor();
        let (y, mean, var) = d.x.batch_norm_training(&scale, &bias, axis, epsilon);
        vec![y, mean, var]
    };
    "x.batch_norm_inference" => |d| vec![{
        let (scale, mean, axis, epsilon) = (d.x.get(0), d.tensor(), d.axis(), d.float());
        d.x.batch_norm_inference(&scale, &scale, &mean, &scale, axis, epsilon)
    }];
    "x.sparse_cross_entropy" => |d| vec![{ let t = d.tensor(); d.x.sparse_cross_entropy(&t) }, {
        let labels = d.x.get(0).to(I32);
        stack([&d.x, &d.x], -1).get(0).sparse_cross_entropy(&labels)
    }];
    "x.take" => |d| vec![{ let (i, axis) = (d.operand(), d.axis()); d.x.take(i, axis) }];
    "x.take_along_axis" => |d| vec![{
        let (i, axis) = (d.tensor(), d.axis());
        d.x.take_along_axis(&i, axis)
    }];
    "x.dynamic_slice" => |d| vec![{
        let (i, sizes) = (d.operand(), d.shape());
        d.x.dynamic_slice(i, sizes)
    }];
    "x.dynamic_update_slice" => |d| vec![{
        let (update, start) = (d.operand(), d.operand());
        d.x.dynamic_update_slice(update, start)
    }];
    "step" => |d| vec![{ let by = d.int(); d.x.index(step(.., by)) }];
    "x.slice" => |d| vec![{
        let (axis, from, to) = (d.axis(), d.int(), d.int());
        d.x.slice(axis, from..to)
    }, { let (axis, to) = (d.axis(), d.int()); d.x.slice(axis, ..=to) }];
    "x.index" => |d| vec![{ let i = d.index(); d.x.index(i) }];
    "x.at" => |d| vec![{ let i = d.index(); d.x.at(i).get() }];
    "x.at(i).set" => |d| vec![{ let (i, y) = (d.index(), d.operand()); d.x.at(i).set(y) }];
    "x.at(i).add" => |d| vec![{ let (i, y) = (d.index(), d.operand()); d.x.at(i).add(y) }];
    "x.at(i).mul" => |d| vec![{ let (i, y) = (d.index(), d.operand()); d.x.at(i).mul(y) }];
    "x.at(i).min" => |d| vec![{ let (i, y) = (d.index(), d.operand()); d.x.at(i).min(y) }];
    "x.at(i).max" => |d| vec![{ let (i, y) = (d.index(), d.operand()); d.x.at(i).max(y) }];
    "x.at(i).unique" => |d| vec![{ let y = d.operand(); d.x.at(0).unique().add(y) }];
    "x.at(i).get" => |d| vec![{ let i = d.index(); d.x.at(i).get() }];
    "concat" => |d| vec![{ let (xs, axis) = (d.tensors(), d.axis()); concat(xs, axis) }];
    "stack" => |d| vec![{ let (xs, axis) = (d.tensors(), d.axis()); stack(xs, axis) }];
    "hstack" => |d| vec![hstack(d.tensors())];
    "vstack" => |d| vec![vstack(d.tensors())];
    "x.split" => |d| { let (n, axis) = (d.size(), d.axis()); d.x.split(n, axis) };
    "x.array_split" => |d| { let (n, axis) = (d.size(), d.axis()); d.x.array_split(n, axis) };
    "x.chunk" => |d| { let (n, axis) = (d.size(), d.axis()); d.x.chunk(n, axis) };
    "x.unstack" => |d| { let axis = d.axis(); d.x.unstack(axis) };
    "matmul" => |d| vec![{ let y = d.tensor(); matmul(&d.x, &y) }];
    "x.to" => |d| vec![{ let t = d.dtype(); d.x.to(t) }];
    "x.reduce_precision" => |d| vec![{
        let (e, m) = (d.size() as u32, d.size() as u32);
        d.x.reduce_precision(e, m)
    }];
    "x.clip" => |d| vec![{ let (low, high) = (d.operand(), d.operand()); d.x.clip(low, high) }];
    "meshgrid" => |d| {
        let order = if d.rng.one_in(2) { Indexing::Xy } else { Indexing::Ij };
        meshgrid(d.tensors(), order)
    };
    "x.full_like" => |d| vec![{ let v = d.float(); d.x.full_like(v) }];
    "Tensor::range" => |d| vec![Tensor::range(d.float(), d.float(), d.float())];
    "Tensor::logspace" => |d| vec![Tensor::logspace(d.float(), d.float(), d.size(), d.float())];
    "Tensor::indices" => |d| vec![Tensor::indices(d.shape())];
    "Tensor::fftfreq" => |d| vec![Tensor::fftfreq(d.size(), d.float())];
    "Tensor::rfftfreq" => |d| vec![Tensor::rfftfreq(d.size(), d.float())];
    "Tensor::tri" => |d| vec![Tensor::tri(d.size(), d.size(), d.int())];
    "x.diagonal" => |d| vec![{
        let (k, a, b) = (d.int(), d.axis(), d.axis());
        d.x.diagonal(k, a, b)
    }];
    "x.lerp" => |d| vec![{ let (y, w) = (d.operand(), d.operand()); d.x.lerp(y, w) }];
    "x.polyval" => |d| vec![{ let y = d.tensor(); d.x.polyval(&y) }];
    "x.interp" => |d| vec![{ let (a, b) = (d.tensor(), d.tensor()); d.x.interp(&a, &b) }];
    "x + y" => |d| vec![{ let y = d.tensor(); &d.x + y }, &d.x + d.rng.range(-2.0, 2.0)];
    "x - y" => |d| vec![{ let y = d.tensor(); &d.x - y }, { let n = d.int(); n - &d.x }];
    "x * y" => |d| vec![{ let y = d.tensor(); &d.x * y }, { let n = d.int(); n * &d.x }];
    "x / y" => |d| vec![{ let y = d.tensor(); &d.x / y }, { let n = d.int(); &d.x / n }];
    "x % y" => |d| vec![{ let y = d.tensor(); &d.x % y }, { let n = d.int(); &d.x % n }];
    "x & y" => |d| vec![{ let y = d.tensor(); &d.x & y }];
    "x | y" => |d| vec![{ let y = d.tensor(); &d.x | y }];
    "x ^ y" => |d| vec![{ let y = d.tensor(); &d.x ^ y }];
    "x.tensordot" => |d| vec![{
        let (y, a, b) = (d.operand(), d.axes(), d.axes());
        d.x.tensordot(y, a, b)
    }];
    "x.lu" => |d| { let (p, l, u) = d.x.lu(); vec![p, l, u] };
    "x.lu_factor" => |d| <[Tensor; 3]>::from(d.x.lu_factor()).to_vec();
    "x.qr" => |d| { let (q, r) = d.x.qr(); vec![q, r] };
    "x.qr_full" => |d| { let (q, r) = d.x.qr_full(); vec![q, r] };
    "x.svd" => |d| { let (u, s, vh) = d.x.svd(); vec![u, s, vh] };
    "x.svd_full" => |d| { let (u, s, vh) = d.x.svd_full(); vec![u, s, vh] };
    "x.eigh" => |d| { let (w, v) = d.x.eigh(); vec![w, v] };
    "x.eig" => |d| { let (w, v) = d.x.eig(); vec![w, v] };
    "x.schur" => |d| { let (t, z) = d.x.schur(); vec![t, z] };
    "x.tensorsolve" => |d| vec![{ let b = d.operand(); d.x.tensorsolve(b) }];
    "x.tensorinv" => |d| vec![{ let axes = d.rng.below(4); d.x.tensorinv(axes) }];
    "toeplitz" => |d| vec![{ let row = d.operand(); toeplitz(&d.x, row) }];
    "block_diag" => |d| vec![block_diag(d.tensors())];
    "x.slogdet" => |d| { let (sign, log) = d.x.slogdet(); vec![sign, log] };
    "x.lu_solve" => |d| vec![{
        let (permutation, b) = (d.tensor(), d.operand());
        d.x.lu_solve(&permutation, b)
    }];
    "x.solve_triangular" => |d| vec![{
        let triangle = if d.rng.one_in(2) { Triangle::Lower } else { Triangle::Upper };
        let b = d.operand();
        d.x.solve_triangular(b, triangle)
    }];
    "x.matrix_norm" => |d| {
        use MatrixNorm::*;
        let orders = [Frobenius, Nuclear, Spectral, SmallestSingularValue, One, NegativeOne];
        orders.into_iter().chain([Infinity, NegativeInfinity]).map(|o| d.x.matrix_norm(o)).collect()
    };
    "multi_dot" => |d| vec![multi_dot(d.tensors())];
    "x.matrix_power" => |d| vec![{ let n = d.size() as i64 - 1; d.x.matrix_power(n) }];
    "x.cosine_similarity" => |d| vec![{
        let (y, axis) = (d.operand(), d.axis());
        d.x.cosine_similarity(y, axis)
    }];
    "key" => |d| vec![d.key().tensor().clone()];
    "Key::from_tensor" => |d| vec![Key::from_tensor(d.tensor()).uniform([2])];
    "Key::tensor" => |d| vec![d.key().tensor().clone()];
    "Key::split" => |d| { let [a, b] = d.key().split(); vec![a.normal(2), b.normal(3)] };
    "Key::split_n" => |d| vec![{ let n = d.size(); d.key().split_n(n).tensor().clone() }];
    "Key::fold_in" => |d| vec![{ let n = d.operand(); d.key().fold_in(n).uniform(2) }];
    "Key::bits_of" => |d| vec![d.key().bits_of(d.dtype(), d.shape())];
    "Key::uniform" => |d| vec![d.key().uniform(d.shape()), d.key().uniform(d.size())];
    "Key::uniform_of" => |d| vec![{
        let (t, s, a, b) = (d.dtype(), d.shape_of_sample(), d.operand(), d.operand());
        d.key().uniform_of(t, s, a, b)
    }];
    "Key::normal" => |d| vec![d.key().normal(d.shape()), d.key().normal(d.size())];
    "Key::normal_of" => |d| vec![d.key().normal_of(d.dtype(), d.shape())];
    "Key::gumbel_of" => |d| vec![d.key().gumbel_of(d.dtype(), d.shape())];
    "Key::randint" => |d| vec![{
        let (s, a, b) = (d.shape(), d.int(), d.int());
        d.key().randint(s, a..b)
    }];
    "Key::randint_of" => |d| vec![{
        let ends = [i128::MIN, i128::MAX, d.int() as i128, d.int() as i128, 1 << 64];
        let (t, s, a, b) = (d.dtype(), d.shape(), d.rng.pick(&ends), d.rng.pick(&ends));
        d.key().randint_of(t, s, a..b)
    }];
    "Key::bernoulli" => |d| vec![{
        let (p, s) = (d.operand(), d.shape());
        d.key().bernoulli(p, s)
    }];
    "Key::categorical" => |d| vec![{ let axis = d.axis(); d.key().categorical(&d.x, axis) }];
    "Key::exponential" => |d| vec![d.key().exponential(d.shape())];
    "Key::laplace" => |d| vec![d.key().laplace(d.shape())];
    "Key::logistic" => |d| vec![d.key().logistic(d.shape())];
    "Key::cauchy" => |d| vec![d.key().cauchy(d.shape())];
    "Key::gumbel" => |d| vec![d.key().gumbel(d.shape())];
    "Key::maxwell" => |d| vec![d.key().maxwell(d.shape())];
    "Key::exponential_of" => |d| vec![d.key().exponential_of(d.dtype(), d.shape())];
    "Key::laplace_of" => |d| vec![d.key().laplace_of(d.dtype(), d.shape())];
    "Key::logistic_of" => |d| vec![d.key().logistic_of(d.dtype(), d.shape())];
    "Key::cauchy_of" => |d| vec![d.key().cauchy_of(d.dtype(), d.shape())];
    "Key::maxwell_of" => |d| vec![d.key().maxwell_of(d.dtype(), d.shape())];
    "Key::rademacher" => |d| vec![d.key().rademacher(d.shape())];
    "Key::rademacher_of" => |d| vec![d.key().rademacher_of(d.dtype(), d.shape())];
    "Key::normal_around" => |d| vec![{
        let (a, b, s) = (d.operand(), d.operand(), d.shape_of_sample());
        d.key().normal_around(a, b, s)
    }];
    "Key::lognormal" => |d| vec![{
        let (a, s) = (d.operand(), d.shape_of_sample());
        d.key().lognormal(a, s)
    }];
    "Key::pareto" => |d| vec![{
        let (a, s) = (d.operand(), d.shape_of_sample());
        d.key().pareto(a, s)
    }];
    "Key::rayleigh" => |d| vec![{
        let (a, s) = (d.operand(), d.shape_of_sample());
        d.key().rayleigh(a, s)
    }];
    "Key::weibull_min" => |d| vec![{
        let (a, b, s) = (d.operand(), d.operand(), d.shape_of_sample());
        d.key().weibull_min(a, b, s)
    }];
    "Key::triangular" => |d| vec![{
        let (a, b, c) = (d.operand(), d.operand(), d.operand());
        d.key().triangular(a, b, c, d.shape_of_sample())
    }];
    "Key::geometric" => |d| vec![{
        let (a, s) = (d.operand(), d.shape_of_sample());
        d.key().geometric(a, s)
    }];
    "Key::double_sided_maxwell" => |d| vec![{
        let (a, b, s) = (d.operand(), d.operand(), d.shape_of_sample());
        d.key().double_sided_maxwell(a, b, s)
    }];
    "Key::truncated_normal" => |d| vec![{
        let (a, b, s) = (d.operand(), d.operand(), d.shape_of_sample());
        d.key().truncated_normal(a, b, s)
    }];
    "Key::wald" => |d| vec![{
        let (a, s) = (d.operand(), d.shape_of_sample());
        d.key().wald(a, s)
    }];
    "Key::gamma" => |d| vec![{
        let (a, s) = (d.operand(), d.shape_of_sample());
        d.key().gamma(a, s)
    }];
    "Key::loggamma" => |d| vec![{
        let (a, s) = (d.operand(), d.shape_of_sample());
        d.key().loggamma(a, s)
    }];
    "Key::beta" => |d| vec![{
        let (a, b, s) = (d.operand(), d.operand(), d.shape_of_sample());
        d.key().beta(a, b, s)
    }];
    "Key::dirichlet" => |d| vec![{ let s = d.shape(); d.key().dirichlet(&d.x, s) }];
    "Key::chisquare" => |d| vec![{
        let (a, s) = (d.operand(), d.shape_of_sample());
        d.key().chisquare(a, s)
    }];
    "Key::t" => |d| vec![{
        let (a, s) = (d.operand(), d.shape_of_sample());
        d.key().t(a, s)
    }];
    "Key::f" => |d| vec![{
        let (a, b, s) = (d.operand(), d.operand(), d.shape_of_sample());
        d.key().f(a, b, s)
    }];
    "Key::generalized_normal" => |d| vec![{
        let (a, s) = (d.operand(), d.shape_of_sample());
        d.key().generalized_normal(a, s)
    }];
    "Key::ball" => |d| vec![{
        let (n, a, s) = (d.size(), d.operand(), d.shape());
        d.key().ball(n, a, s)
    }];
    "Key::poisson" => |d| vec![{
        let (a, s) = (d.operand(), d.shape_of_sample());
        d.key().poisson(a, s)
    }];
    "Key::binomial" => |d| vec![{
        let (a, b, s) = (d.operand(), d.operand(), d.shape_of_sample());
        d.key().binomial(a, b, s)
    }];
    "Key::multinomial" => |d| vec![{
        let (n, s) = (d.operand(), d.shape());
        d.key().multinomial(n, &d.x, s)
    }];
    "Key::multivariate_normal" => |d| vec![{
        let (mean, s) = (d.operand(), d.shape());
        d.key().multivariate_normal(mean, &d.x, s)
    }];
    "Key::multivariate_normal_with" => |d| vec![{
        let options = MultivariateNormalOptions::new();
        let options = if d.rng.one_in(2) { options.eigh() } else { options.svd() };
        let (mean, s) = (d.operand(), d.shape());
        d.key().multivariate_normal_with(mean, &d.x, s, options)
    }];
    "Key::orthogonal" => |d| vec![{ let (n, s) = (d.size(), d.shape()); d.key().orthogonal(n, s) }];
    "Key::orthogonal_of" => |d| vec![{
        let (sides, s) = ([d.size(), d.size()], d.shape());
        d.key().orthogonal_of(d.dtype(), sides, s)
    }];
    "Key::choice" => |d| vec![{ let s = d.shape(); d.key().choice(&d.x, s) }];
    "Key::choice_with" => |d| vec![{
        let mut options = ChoiceOptions::new().axis(d.axis());
        if d.rng.one_in(2) {
            options = options.without_replacement();
        }
        if d.rng.one_in(2) {
            options = options.weights(&d.tensor());
        }
        let s = d.shape();
        d.key().choice_with(&d.x, s, options)
    }];
    "Key::categorical_with" => |d| vec![{
        let mut options = CategoricalOptions::new().samples(d.shape());
        if d.rng.one_in(2) {
            options = options.without_replacement();
        }
        let axis = d.axis();
        d.key().categorical_with(&d.x, axis, options)
    }];
    "Key::shuffle_each" => |d| vec![{ let axis = d.axis(); d.key().shuffle_each(&d.x, axis) }];
    "Key::randint_between" => |d| vec![{
        let (a, b, s) = (d.operand(), d.operand(), d.shape_of_sample());
        d.key().randint_between(a, b, s)
    }];
    "Key::permutation" => |d| vec![{ let n = d.size(); d.key().permutation(n) }];
    "Key::shuffle" => |d| vec![{ let axis = d.axis(); d.key().shuffle(&d.x, axis) }];
    "x.roll" => |d| vec![{ let (n, axis) = (d.int(), d.axis()); d.x.roll(n, axis) }];
    "x.rot90" => |d| vec![{ let (k, a, b) = (d.int(), d.axis(), d.axis()); d.x.rot90(k, a, b) }];
    "x.repeat" => |d| vec![{ let (n, axis) = (d.size(), d.axis()); d.x.repeat(n, axis) }];
    "x.tile" => |d| vec![{
        let times: Vec<usize> = (0..d.rng.below(4)).map(|_| d.size()).collect();
        d.x.tile(times)
    }];
    "x.pad" => |d| vec![{ let (w, v) = (d.widths(), d.operand()); d.x.pad(w, v) }];
    "x.pad_with" => |d| vec![{
        use PadMode::*;
        let repeated = [Edge, Reflect, Symmetric, Wrap];
        let computed = [LinearRamp, Maximum, Mean, Median, Minimum, Empty];
        let modes = [&repeated[..], &computed].concat();
        let (w, mode) = (d.widths(), d.rng.pick(&modes));
        d.x.pad_with(w, mode)
    }];
    "x.average" => |d| vec![{ let (w, axes) = (d.operand(), d.axes()); d.x.average(w, axes) }];
    "x.var" => |d| vec![{ let (axes, n) = (d.axes(), d.size()); d.x.var(axes, n) }];
    "x.std" => |d| vec![{ let (axes, n) = (d.axes(), d.size()); d.x.std(axes, n) }];
    "x.norm_of_order" => |d| vec![{
        let (p, axes) = (d.float(), d.axes());
        d.x.norm_of_order(p, axes)
    }];
    "x.reshape" => |d| vec![{ let s = d.reshape(); d.x.reshape(s) }];
    "x.move_axis" => |d| vec![{ let (a, b) = (d.axis(), d.axis()); d.x.move_axis(a, b) }];
    "x.broadcast_to" => |d| vec![{
        let mut s = d.reshape();
        s.insert(0, d.size());
        d.x.broadcast_to(s)
    }];
    "x.swap_axes" => |d| vec![{ let (a, b) = (d.axis(), d.axis()); d.x.swap_axes(a, b) }];
    "x.sort_by_key" => |d| vec![{
        let (k, axis) = (d.tensor(), d.axis());
        d.x.sort_by_key(&k, axis)
    }];
    "x.top_k" => |d| { let k = d.size(); let (a, b) = d.x.top_k(k); vec![a, b] };
    "x.searchsorted" => |d| vec![{
        let side = if d.rng.one_in(2) { Side::Left } else { Side::Right };
        let values = d.operand();
        d.x.searchsorted(values, side)
    }];
    "x.digitize" => |d| vec![{ let bins = d.tensor(); d.x.digitize(&bins) }];
    "x.histogram" => |d| {
        let (bins, low, high) = (d.size(), d.float(), d.float());
        let (counts, edges) = d.x.histogram(bins, low, high);
        vec![counts, edges]
    };
    "x.quantile" => |d| vec![{ let (q, axes) = (d.operand(), d.axes()); d.x.quantile(q, axes) }];
    "x.percentile" => |d| vec![{
        let (q, axes) = (d.operand(), d.axes());
        d.x.percentile(q, axes)
    }];
    "x.bitcast" => |d| vec![{ let t = d.dtype(); d.x.bitcast(t) }];
    "x.divmod" => |d| { let y = d.operand(); let (q, r) = d.x.divmod(y); vec![q, r] };
    "x.modf" => |d| { let (part, whole) = d.x.modf(); vec![part, whole] };
    "x.frexp" => |d| { let (mantissa, exponent) = d.x.frexp(); vec![mantissa, exponent] };
    "x.unwrap_phase" => |d| vec![{
        let (period, axis) = (d.float(), d.axis());
        d.x.unwrap_phase(period, axis)
    }];
    "x.sort_with" => |d| vec![{ let a = d.axis(); d.x.sort_with(a, descending()) }];
    "x.argsort_with" => |d| vec![{ let a = d.axis(); d.x.argsort_with(a, descending()) }];
    "x.sort_by_keys" => |d| vec![{
        let (keys, axis) = (d.tensors(), d.axis());
        d.x.sort_by_keys(keys, axis)
    }];
    "lexsort" => |d| vec![{ let (keys, axis) = (d.tensors(), d.axis()); lexsort(keys, axis) }];
    "x.pad_dilated" => |d| vec![{
        let (widths, value) = (d.widths(), d.operand());
        let widths: Vec<(i64, i64, usize)> =
            widths.iter().map(|&(low, high)| (low as i64 - 1, d.int(), high)).collect();
        d.x.pad_dilated(widths, value)
    }];
    "x.window_sum" => |d| vec![{ let (s, w) = (d.each(), d.windows()); d.x.window_sum(s, w) }];
    "x.window_prod" => |d| vec![{ let (s, w) = (d.each(), d.windows()); d.x.window_prod(s, w) }];
    "x.window_max" => |d| vec![{ let (s, w) = (d.each(), d.windows()); d.x.window_max(s, w) }];
    "x.window_min" => |d| vec![{ let (s, w) = (d.each(), d.windows()); d.x.window_min(s, w) }];
    "x.conv" => |d| vec![{ let (k, w) = (d.tensor(), d.windows()); d.x.conv(&k, w) }];
    "x.conv_transpose" => |d| vec![{
        let (k, w) = (d.tensor(), d.windows());
        d.x.conv_transpose(&k, w)
    }];
    "x.max_pool" => |d| vec![{ let (s, w) = (d.each(), d.windows()); d.x.max_pool(s, w) }];
    "x.max_pool_indices" => |d| vec![{
        let (s, w) = (d.each(), d.windows());
        d.x.max_pool_indices(s, w)
    }];
    "x.sum_pool" => |d| vec![{ let (s, w) = (d.each(), d.windows()); d.x.sum_pool(s, w) }];
    "x.avg_pool" => |d| vec![{ let (s, w) = (d.each(), d.windows()); d.x.avg_pool(s, w) }];
}

/// Returns the options of sorts.
fn descending() -> SortOptions {
    SortOptions::new().descending()
}

/// Returns all calls.
pub fn all() -> Vec<Call> {
    let own = [UNARY, BINARY, OVER_AXES, ALONG_AXIS, OFFSETS, FLOATS, SIZES, FFT_OPTIONS, OTHERS];
    let others = [&crate::option_calls::all()[..], crate::collective_calls::COLLECTIVES].concat();
    [&own.concat()[..], crate::calls_of_arrays::ARRAYS, &others].concat()
}
