import java.time.Duration;
import java.util.concurrent.atomic.AtomicLongArray;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.javadsl.Behaviors;

/** Actors that tick many times a second, and how late they are; see bench/rig/src/programs/ticks.rs. */
final class Ticks {
    private static final int PER_SECOND = 30;
    private static final long PERIOD_NS = 1_000_000_000 / PER_SECOND;
    private static final long STEP_NS = 100_000;

    private final AtomicLongArray jitter = new AtomicLongArray(1_000);

    private enum Tick {
        TICK
    }

    private final class Ticker {
        private long last;

        Behavior<Tick> tick(Tick tick) {
            long now = System.nanoTime();
            if (last != 0) {
                long step = Math.abs(now - last - PERIOD_NS) / STEP_NS;
                jitter.incrementAndGet((int) Math.min(step, jitter.length() - 1));
            }
            last = now;
            return Behaviors.same();
        }
    }

    private Behavior<Tick> ticker() {
        return Behaviors.withTimers(timers -> {
            timers.startTimerAtFixedRate(Tick.TICK, Duration.ofNanos(PERIOD_NS));
            return Behaviors.receiveMessage(new Ticker()::tick);
        });
    }

    Sample run(Stage stage, long actors) throws Exception {
        for (long i = 0; i < actors; i++) {
            stage.spawn(ticker());
        }
        Thread.sleep(1_000);
        for (int i = 0; i < jitter.length(); i++) {
            jitter.set(i, 0);
        }
        var stopwatch = new Sample.Stopwatch();
        Thread.sleep(5_000);
        var ticks = new long[jitter.length()];
        long count = 0;
        for (int i = 0; i < ticks.length; i++) {
            ticks[i] = jitter.get(i);
            count += ticks[i];
        }
        var sample = stopwatch.stop(count);
        long expected = actors * PER_SECOND * 5;
        if (count <= expected / 2) {
            throw new IllegalStateException(count + " ticks instead of " + expected);
        }
        int p99 = 0;
        for (long below = ticks[0]; below * 100 < count * 99; below += ticks[p99]) {
            p99++;
        }
        return sample.with("jitter_p99_ns", (p99 + 1) * STEP_NS);
    }
}
