//! Polynomials, lowest power first. Written by `scripts/minimax.py`, which derives them by Remez'
//! exchange; not edited by hand.

#![allow(clippy::approx_constant, reason = "the parts of pi and ln 2")]

/// `(e^r - 1 - r) / r^2` for |r| <= ln(2)/2, relative to `e^r - 1`: off by at most 1.3e-8.
pub const EXP_F32: [f64; 5] = [
    0.5000000061941086,
    0.16666542992240746,
    0.04166628199585162,
    0.008366583938547957,
    0.0013946452282533825,
];

/// `(e^r - 1 - r) / r^2` for |r| <= ln(2)/2, relative to `e^r - 1`: off by at most 1.8e-17.
pub const EXP_F64: [f64; 10] = [
    0.5000000000000006,
    0.16666666666666685,
    0.04166666666657362,
    0.0083333333333146,
    0.0013888888932379723,
    0.00019841269903012542,
    2.480150444488705e-05,
    2.7557227968815566e-06,
    2.7626326935152e-07,
    2.5114468691293677e-08,
];

/// `(2 artanh(s) - 2 s) / s^3` in `s^2`, for s = (m - 1) / (m + 1), m from sqrt(1/2) to sqrt(2),
/// relative to `2 s`: off by at most 8.1e-10.
pub const LOG_F32: [f64; 3] = [0.6666677644854928, 0.39977532384971076, 0.2987199683084665];

/// `(2 artanh(s) - 2 s) / s^3` in `s^2`, for s = (m - 1) / (m + 1), m from sqrt(1/2) to sqrt(2),
/// relative to `2 s`: off by at most 1.2e-18.
pub const LOG_F64: [f64; 7] = [
    0.6666666666666734,
    0.39999999999413965,
    0.28571428742562144,
    0.22222198553785505,
    0.18183565407248337,
    0.15314021118750684,
    0.14796261168009292,
];

/// `(sin(r) - r) / r^3` in `r^2`, for |r| <= pi/4, relative to the sine: off by at most 3.8e-9.
pub const SIN_F32: [f64; 3] = [-0.1666665460227622, 0.008332160292070982, -0.00019515218140303222];

/// `(sin(r) - r) / r^3` in `r^2`, for |r| <= pi/4, relative to the sine: off by at most 3.6e-18.
pub const SIN_F64: [f64; 6] = [
    -0.1666666666666663,
    0.008333333333322108,
    -0.00019841269829580144,
    2.755731361800941e-06,
    -2.505074721693195e-08,
    1.5896197562926813e-10,
];

/// `(cos(r) - 1 + r^2/2) / r^4` in `r^2`, for |r| <= pi/4, relative to the cosine: off by at most
/// 1.2e-10.
pub const COS_F32: [f64; 3] = [0.0416666456701498, -0.0013887315616166215, 2.4433082647805322e-05];

/// `(cos(r) - 1 + r^2/2) / r^4` in `r^2`, for |r| <= pi/4, relative to the cosine: off by at most
/// 5.6e-20.
pub const COS_F64: [f64; 6] = [
    0.041666666666666595,
    -0.001388888888887304,
    2.4801587288841407e-05,
    -2.7557314176242773e-07,
    2.0875700416476104e-09,
    -1.135851397178025e-11,
];

/// As `LOG`, in base 2 and without its first term, relative to that: off by at most 6.9e-12.
pub const POWER_LOG_F32: [f64; 4] =
    [0.961796679181004, 0.5770828551089621, 0.4117061321710424, 0.3402226265175894];

/// `(tanh(x) - x) / x^3` in `x^2`, for |x| <= 0.55, relative to the result: off by at most 1.0e-9.
pub const TANH_F32: [f64; 5] = [
    -0.33333317552348607,
    0.13332585865424482,
    -0.05385227885236461,
    0.02107154187179119,
    -0.00627403309974024,
];

/// `(tanh(x) - x) / x^3` in `x^2`, for |x| <= 0.55, relative to the result: off by at most 2.0e-17.
pub const TANH_F64: [f64; 10] = [
    -0.3333333333333231,
    0.13333333333168565,
    -0.05396825387601031,
    0.02186948597316106,
    -0.008863194481976087,
    0.0035917195177925347,
    -0.001453215859132401,
    0.0005791343214146749,
    -0.00021029794258121325,
    5.101835742710162e-05,
];

/// `(atan(x) - x) / x^3` in `x^2`, for |x| <= 1, relative to the result: off by at most 1.7e-8.
pub const ATAN_F32: [f64; 8] = [
    -0.3333315273783829,
    0.19993772881746472,
    -0.14211055711017953,
    0.10666006275283024,
    -0.07552217803646685,
    0.04321190235493164,
    -0.01636795341190656,
    0.002920698523848762,
];

/// `(asin(x) - x) / x^3` in `x^2`, for |x| <= 1/2, relative to the result: off by at most 4.8e-9.
pub const ASIN_F32: [f64; 5] = [
    0.16666752531744694,
    0.07495295402350827,
    0.04547068359518654,
    0.024177874499943394,
    0.04216928820425282,
];

/// The cube root from sqrt(1/2) to sqrt(2): a first guess for one step of Halley's method: off by
/// at most 7.3e-5.
pub const CBRT_F32: [f64; 4] =
    [0.4925096778722758, 0.7397176447869327, -0.2903789329627117, 0.05822085769283362];

/// `erf(x) / x - 1` in `x^2`, for |x| <= 59/64, relative to the result: off by at most 1.6e-8.
pub const ERF_F32: [f64; 6] = [
    0.12837914955543706,
    -0.37612493685041115,
    0.11281816157800963,
    -0.02676661604775262,
    0.004993180088644242,
    -0.0005990853296546607,
];

/// `-log(1 - erf(x))` from 59/64 to 4, relative to `erf(x)` after the exponential: off by at most
/// 1.5e-9.
pub const ERF_TAIL_F32: [f64; 7] = [
    0.00019855478763912017,
    1.1276637327543682,
    0.6372022715605267,
    0.1039140254489908,
    -0.0222184511509906,
    0.003041092926967543,
    -0.0001957206657660195,
];

/// `(1 + 2x) e^(x^2) erfc(x)` in `(x - 4) / (x + 4)`, for x from 0 to 10.5, relative to the result:
/// off by at most 1.5e-8.
pub const ERFC_F32: [f64; 11] = [
    1.2329951360970108,
    -0.13962101790533324,
    0.01537732814730173,
    0.06809142131632656,
    -0.10099292118468581,
    0.09383990319125647,
    -0.06659338927238617,
    0.0363870650433202,
    -0.016060880774938186,
    0.0068614195899364796,
    0.0008335031986250459,
];

/// ln 2: the first part times a whole exponent is exact.
pub const LN2_F32: [f64; 2] = [0.693145751953125, 1.428606765330187e-06];

/// ln 2: the first part times a whole exponent is exact.
pub const LN2_F64: [f64; 2] = [0.693147180559663, 2.8235290563031577e-13];

/// 1 / ln 2.
pub const LOG2_E_F32: [f64; 2] = [1.4426950216293335, 1.925963033500011e-08];

/// pi/2 for CPUs that fuse: parts as long as the format.
pub const FRAC_PI_2_F32: [f64; 3] =
    [1.570796251296997, 7.549789415861596e-08, 5.390302953474238e-15];

/// pi/2 in parts whose product with a number of 9 bits is exact, and a rest.
pub const FRAC_PI_2_F32_SHORT: [f64; 4] =
    [1.57073974609375, 5.657970905303955e-05, 9.920881893776823e-10, 5.390302953474238e-15];

/// pi/2 for CPUs that fuse: parts as long as the format.
pub const FRAC_PI_2_F64: [f64; 3] =
    [1.5707963267948966, 6.123233995736765e-17, 1.082856673921914e-32];

/// pi/2 in parts whose product with a number of 20 bits is exact, and a rest.
pub const FRAC_PI_2_F64_SHORT: [f64; 4] =
    [1.5707963267341256, 6.077100506303966e-11, 2.0222662487111665e-21, 8.4784276603689e-32];
