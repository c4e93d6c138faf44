//! Checks random programs. `NEURAX_SEED` and `NEURAX_PROGRAMS` choose the first seed and the number
//! of programs (see `scripts/random-programs.sh`).

use neurax_ir::{Graph, Op};
use neurax_testkit::random::{RandomProgram, Verdict, check, shrink};
use std::collections::BTreeSet;
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// The number of programs, such that 1,000 are compared with differences and have a reverse mode:
/// one in five may contain an unbounded loop.
const PROGRAMS: u64 = 1300;

#[derive(Default)]
struct Tally {
    steep: u64,
    reverse: u64,
    /// Programs checked in both modes that are not steep.
    full: u64,
    failures: Vec<String>,
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

#[test]
fn random_programs_have_all_properties() {
    let (first, count) = (number("NEURAX_SEED", 0), number("NEURAX_PROGRAMS", PROGRAMS));
    println!("{count} programs, seeds from {first} on");
    // A panic is a failure of its program; its message is in the report.
    std::panic::set_hook(Box::new(|_| {}));
    let (next, tally) = (AtomicU64::new(0), Mutex::new(Tally::default()));
    std::thread::scope(|s| {
        for _ in 0..std::thread::available_parallelism().map_or(1, |n| n.get()) {
            s.spawn(|| {
                loop {
                    let k = next.fetch_add(1, Relaxed);
                    if k >= count || lock(&tally).failures.len() >= 5 {
                        break;
                    }
                    match run_program(first.wrapping_add(k)) {
                        Ok(v) => {
                            let mut t = lock(&tally);
                            t.steep += v.steep as u64;
                            t.reverse += v.reverse as u64;
                            t.full += (v.reverse && !v.steep) as u64;
                        }
                        Err(e) => lock(&tally).failures.push(e),
                    }
                }
            });
        }
    });
    let _ = std::panic::take_hook();
    let t = tally.into_inner().unwrap();
    assert!(
        t.failures.is_empty(),
        "{} failures, or more:\n\n{}",
        t.failures.len(),
        t.failures.join("\n\n")
    );
    println!("{} of {count} in reverse mode, {} too steep for differences", t.reverse, t.steep);
    assert!(
        t.steep * 50 <= count,
        "{} of {count} programs are too steep to compare with differences",
        t.steep
    );
    assert!(
        t.full * PROGRAMS >= count * 1000,
        "only {} of {count} programs are checked in both modes",
        t.full
    );
}

fn lock(t: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    t.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run_program(seed: u64) -> Result<Verdict, String> {
    let p = neurax_testkit::laws::catch_panic(|| RandomProgram::new(seed))?;
    check(&p).map_err(|f| {
        let (p, f) = shrink(&p, f);
        format!("seed {seed}: {}: {}\nin\n{}", f.property, f.why, p.listing())
    })
}

#[test]
fn a_seed_always_gives_the_same_program() {
    let texts = |seed| RandomProgram::new(seed).map(|p| p.listing());
    assert_eq!(texts(12), texts(12));
}

fn names(g: &Graph, into: &mut BTreeSet<&'static str>) {
    for e in g.eqns() {
        into.insert(e.op.name());
        e.op.graphs().iter().for_each(|g| names(g, into));
    }
}

fn depth(g: &Graph) -> usize {
    g.eqns().iter().flat_map(|e| e.op.graphs()).map(|g| 1 + depth(&g)).max().unwrap_or(0)
}

#[test]
fn programs_have_the_intended_sizes_and_use_all_ops() {
    let (mut used, mut deep, mut sizes) = (BTreeSet::new(), 0, vec![]);
    for seed in 0..PROGRAMS {
        let p = RandomProgram::new(seed).unwrap();
        deep += (depth(&p.graph) >= 2) as u64;
        let written = p.member.map_or(p.graph, |m| m.graph);
        assert!(depth(&written) >= 1, "the program of seed {seed} holds no graph");
        names(&written, &mut used);
        sizes.push(written.eqns().len());
    }
    let odd: Vec<&usize> = sizes.iter().filter(|n| !(5..=30).contains(*n)).collect();
    assert!(odd.is_empty(), "programs of {odd:?} equations");
    assert!(deep * 4 >= PROGRAMS, "{deep} programs nest graphs at least twice");
    let all: BTreeSet<&str> = Op::samples().iter().map(|s| s.op.name()).collect();
    let missing: Vec<&&str> = all.difference(&used).collect();
    assert!(missing.is_empty(), "no program uses {missing:?}");
}
