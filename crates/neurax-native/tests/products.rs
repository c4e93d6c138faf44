//! What follows a product runs when the rows that it reads are there, however they were shared among threads.

use neurax_ir::{Builder, DType, Literal, Type, op::DotGeneral};
use neurax_native::Native;
use neurax_runtime::Backend;

#[test]
fn what_follows_reads_whole_members_of_the_batch() {
    const N: usize = 256;
    let mut b = Builder::new();
    let xs = b.inputs(&[vec![2, N, 64], vec![2, 64, N], vec![N]].map(|shape| Type::new(DType::F32, shape)));
    let op = DotGeneral { lhs_batch: vec![0], rhs_batch: vec![0], lhs_contract: vec![2], rhs_contract: vec![1], dtype: DType::F32 };
    let y = b.emit(op, &xs[..2]);
    // Another number for each row: the rows of a member are not one loop with the members.
    let rows = b.broadcast(xs[2], [2, N, N], &[1]);
    let y = b.add(y, rows);
    let run = Native::new().unwrap().compile(&b.finish(&[y]).unwrap(), 0).unwrap();
    let case = |seed: usize| {
        let numbers = |n: usize| (0..n).map(|i| ((i + seed) * 7919 % 5) as f32).collect::<Vec<f32>>();
        let (l, r, rows) = (numbers(2 * N * 64), numbers(2 * 64 * N), numbers(N));
        let want = |m: usize, i: usize, j: usize| rows[i] + (0..64).map(|k| l[(m * N + i) * 64 + k] * r[(m * 64 + k) * N + j]).sum::<f32>();
        let want: Vec<f32> = (0..2 * N * N).map(|at| want(at / N / N, at / N % N, at % N)).collect();
        let args = [Literal::from_slice([2, N, 64], &l), Literal::from_slice([2, 64, N], &r), Literal::from_slice([N], &rows)];
        (args.map(|x| x.unwrap()), want)
    };
    // In turn: what a call leaves in memory is wrong for the next one.
    let cases = [case(0), case(1)];
    for (args, want) in cases.iter().cycle().take(200) {
        let have = run.run(args.iter().map(|x| x.clone().into()).collect()).unwrap().remove(0);
        assert!(have.to_literal().unwrap().to_vec::<f32>().unwrap() == *want);
    }
}
