//! What a run must not take from the machine: random keys, seeds and clocks.
//!
//! `getrandom` and `clock_gettime` are defined here and so take the place of libc's for `std` and all that is linked into the test binary. Within a
//! simulated thread they answer from the seed and from paused time; everywhere else they ask the kernel, as libc does.
//!
//! | what differs from run to run | where it shows | what is done |
//! |---|---|---|
//! | keys of `std`'s hash maps | the order in which reconciles are polled | `getrandom` from the seed, and a new thread for each run: `std` draws its keys once for each thread |
//! | keys of `ahash` | the order of kube's stores | a source of keys by thread, set before the first map |
//! | `fastrand` | jitter of retries, sweeps and kube's backoff | seeded in the thread |
//! | clocks | ages and times in a status | `clock_gettime` is a fixed epoch, tokio's paused clock, and by how much the schedule stepped it |
#![allow(unsafe_code, reason = "two functions of libc are replaced")]

use std::cell::{Cell, RefCell};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::random::Random;

/// When every run begins: 2027-01-15, in seconds since 1970.
const EPOCH: Duration = Duration::from_secs(1_800_000_000);

thread_local! {
    static ENTROPY: RefCell<Option<Random>> = const { RefCell::new(None) };
    static HASH_KEYS: Cell<Option<usize>> = const { Cell::new(None) };
    /// Whether clocks are simulated, and since when they go.
    static CLOCK: Cell<Option<Option<Instant>>> = const { Cell::new(None) };
    /// How far the clock that tells the time of day was put forward, in milliseconds. Those that only count go on as they did.
    static STEPPED: Cell<i64> = const { Cell::new(0) };
}

/// Runs one simulation from a seed, in a thread and a runtime of its own, under paused time.
///
/// # Panics
/// Where the run panics: with what it said.
#[allow(clippy::panic, reason = "a test that cannot be carried out ends")]
pub fn simulated<T: Send + 'static>(seed: u64, run: impl Future<Output = T> + Send + 'static) -> T {
    prepare();
    let thread = std::thread::Builder::new().stack_size(4 << 20).spawn(move || {
        ENTROPY.set(Some(Random::new(seed)));
        HASH_KEYS.set(Some(usize::try_from(seed & 0xffff_ffff).unwrap_or_default()));
        fastrand::seed(seed);
        CLOCK.set(Some(None));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => panic!("no runtime: {error}"),
        };
        let result = runtime.block_on(async {
            CLOCK.set(Some(Some(Instant::now())));
            run.await
        });
        // What is dropped now may still look at the clock.
        drop(runtime);
        CLOCK.set(None);
        result
    });
    match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(error) => panic!("no thread: {error}"),
    }
}

/// Once for the process, before the first run.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Refused only where a map of ahash was made before; then runs would not repeat, which a test would show.
        let _ = ahash::random_state::set_random_source(HashKeys);
        // The half of its keys that ahash draws once for the process must not be the first run's.
        let first = std::thread::spawn(|| {
            ENTROPY.set(Some(Random::new(0)));
            let _ = ahash::RandomState::new();
        });
        let _ = first.join();
    });
}

struct HashKeys;

impl ahash::random_state::RandomSource for HashKeys {
    fn gen_hasher_seed(&self) -> usize {
        static OTHERS: AtomicUsize = AtomicUsize::new(0);
        match HASH_KEYS.get() {
            Some(key) => {
                HASH_KEYS.set(Some(key.wrapping_add(0x9e37_79b9)));
                key
            }
            None => OTHERS.fetch_add(0x9e37_79b9, Ordering::Relaxed),
        }
    }
}

/// The simulated time since the run began, where this thread runs one.
fn simulated_time() -> Option<Duration> {
    let since = CLOCK.try_with(Cell::get).ok()??;
    // Paused, tokio's clock asks no other.
    let runs = || tokio::runtime::Handle::try_current().is_ok();
    Some(since.filter(|_| runs()).map_or(Duration::ZERO, |since| since.elapsed()))
}

/// Puts the clock that tells the time of day forward, or back, by so many milliseconds.
pub fn step_clock(milliseconds: i64) {
    STEPPED.set(STEPPED.get().saturating_add(milliseconds));
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut libc::c_void, length: libc::size_t, flags: libc::c_uint) -> libc::ssize_t {
    let filled = ENTROPY.try_with(|entropy| {
        let mut entropy = entropy.try_borrow_mut().ok()?;
        let random = entropy.as_mut()?;
        // SAFETY: the caller lends `length` bytes.
        let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
        bytes.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&random.draw().to_le_bytes()[..chunk.len()]));
        libc::ssize_t::try_from(length).ok()
    });
    // SAFETY: as above.
    filled.ok().flatten().unwrap_or_else(|| unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) as libc::ssize_t })
}

/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    let is_simulated = matches!(clock, libc::CLOCK_REALTIME | libc::CLOCK_MONOTONIC | libc::CLOCK_BOOTTIME);
    match simulated_time().filter(|_| is_simulated) {
        Some(elapsed) => {
            let stepped = if clock == libc::CLOCK_REALTIME { STEPPED.try_with(Cell::get).unwrap_or_default() } else { 0 };
            let step = Duration::from_millis(stepped.unsigned_abs());
            let now = if stepped < 0 { EPOCH + elapsed - step } else { EPOCH + elapsed + step };
            let seconds = libc::time_t::try_from(now.as_secs()).unwrap_or(libc::time_t::MAX);
            // SAFETY: the caller lends it.
            unsafe { time.write(libc::timespec { tv_sec: seconds, tv_nsec: now.subsec_nanos().into() }) };
            0
        }
        // SAFETY: as above.
        None => unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) as libc::c_int },
    }
}
