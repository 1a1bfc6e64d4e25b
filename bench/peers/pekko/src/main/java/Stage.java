import com.typesafe.config.ConfigFactory;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import org.apache.pekko.actor.typed.ActorRef;
import org.apache.pekko.actor.typed.ActorSystem;
import org.apache.pekko.actor.typed.Behavior;
import org.apache.pekko.actor.typed.Props;
import org.apache.pekko.actor.typed.SpawnProtocol;
import org.apache.pekko.actor.typed.javadsl.AskPattern;

/** The system with the actors that its programs have used so far: they are made outside of what is measured. */
final class Stage {
    private static final int PINGING = 100;
    private static final int ASKING = 64;
    private static final int RANDOM_ACTORS = 100_000;
    private static final int UNANSWERED = 500;
    private static final long STATE_BYTES = 8;
    private static final long REFERENCE_BYTES = 4;
    /** Longer than anything takes. */
    private static final Duration TIMEOUT = Duration.ofMinutes(5);

    final ActorSystem<SpawnProtocol.Command> system = ActorSystem.create(
            SpawnProtocol.create(),
            "bench",
            ConfigFactory.parseString("pekko.loglevel = OFF, pekko.log-dead-letters = off")
                    .withFallback(ConfigFactory.load()));
    private final List<ActorRef<Adder.Message>> actors = new ArrayList<>();
    private final ConcurrentHashMap<String, ActorRef<Adder.Message>> named = new ConcurrentHashMap<>();

    Sample run(String program, long n) throws Exception {
        return switch (program) {
            case "ping" -> ping(n);
            case "hot" -> Hot.run(this, n);
            case "random" -> random(n);
            case "one-way" -> oneWay(n);
            case "fan-out-10" -> fanOut(n, 10);
            case "fan-out-1000" -> fanOut(n, 1_000);
            case "skynet" -> skynet(n);
            case "activation" -> activation(n);
            case "idle" -> idle(n);
            case "ticks" -> new Ticks().run(this, n);
            default -> throw new IllegalArgumentException("there is no program " + program);
        };
    }

    <T> CompletionStage<ActorRef<T>> beginSpawn(Behavior<T> behavior) {
        return AskPattern.ask(
                system,
                (ActorRef<ActorRef<T>> replyTo) -> new SpawnProtocol.Spawn<>(behavior, "", Props.empty(), replyTo),
                TIMEOUT,
                system.scheduler());
    }

    <T> ActorRef<T> spawn(Behavior<T> behavior) throws Exception {
        return beginSpawn(behavior).toCompletableFuture().get();
    }

    CompletionStage<Long> ask(ActorRef<Adder.Message> actor, long by) {
        return AskPattern.ask(
                actor, (ActorRef<Long> replyTo) -> new Adder.Ask(by, replyTo), TIMEOUT, system.scheduler());
    }

    /** The first so many actors. */
    List<ActorRef<Adder.Message>> first(int count) throws Exception {
        while (actors.size() < count) {
            actors.add(spawn(Adder.create()));
        }
        return actors.subList(0, count);
    }

    /** Runs so many callers at once, each with one ask at a time, and waits for all. */
    void callers(int count, long each, IntFunction<CompletionStage<Long>> ask) throws Exception {
        var all = IntStream.range(0, count).mapToObj(number -> {
            var done = new CompletableFuture<Void>();
            call(number, each, ask, done);
            return done;
        });
        CompletableFuture.allOf(all.toArray(CompletableFuture[]::new)).get();
    }

    private void call(int number, long left, IntFunction<CompletionStage<Long>> ask, CompletableFuture<Void> done) {
        if (left == 0) {
            done.complete(null);
            return;
        }
        // On the dispatcher, as an actor's own continuation; in place it would deepen the stack.
        ask.apply(number).whenCompleteAsync(
                (total, error) -> {
                    if (error != null) {
                        done.completeExceptionally(error);
                    } else {
                        call(number, left - 1, ask, done);
                    }
                },
                system.executionContext());
    }

    private Sample ping(long n) throws Exception {
        var own = first(PINGING);
        long each = (n + PINGING - 1) / PINGING;
        var stopwatch = new Sample.Stopwatch();
        callers(PINGING, each, number -> ask(own.get(number), 1));
        return stopwatch.stop(each * PINGING);
    }

    private Sample random(long n) throws Exception {
        var keys = IntStream.range(0, (int) Math.min(RANDOM_ACTORS, n)).mapToObj("named-%06d"::formatted).toList();
        if (named.isEmpty()) {
            for (var key : keys) {
                named.put(key, spawn(Adder.create()));
            }
        }
        long each = (n + ASKING - 1) / ASKING;
        var stopwatch = new Sample.Stopwatch();
        callers(ASKING, each, caller -> {
            var key = keys.get(ThreadLocalRandom.current().nextInt(keys.size()));
            return ask(named.get(key), 1);
        });
        return stopwatch.stop(each * ASKING);
    }

    private Sample oneWay(long n) throws Exception {
        var actor = first(1).get(0);
        long before = ask(actor, 0).toCompletableFuture().get();
        var stopwatch = new Sample.Stopwatch();
        for (long i = 1; i <= n; i++) {
            actor.tell(new Adder.Tell(1));
            if (i % UNANSWERED == 0 || i == n) {
                long total = ask(actor, 0).toCompletableFuture().get();
                if (total != before + i) {
                    throw new IllegalStateException(i + " messages have made " + before + " to " + total);
                }
            }
        }
        return stopwatch.stop(n);
    }

    private Sample fanOut(long n, int width) throws Exception {
        var asked = first(width);
        var stopwatch = new Sample.Stopwatch();
        for (long i = 0; i < n; i++) {
            var replies = asked.stream().map(actor -> ask(actor, 1).toCompletableFuture());
            CompletableFuture.allOf(replies.toArray(CompletableFuture[]::new)).get();
        }
        return stopwatch.stop(n);
    }

    private Sample activation(long n) throws Exception {
        long each = (n + ASKING - 1) / ASKING;
        var stopwatch = new Sample.Stopwatch();
        // The guardian holds them.
        callers(ASKING, each, caller -> beginSpawn(Adder.create()).thenCompose(actor -> ask(actor, 1)));
        return stopwatch.stop(each * ASKING);
    }

    private Sample idle(long n) throws Exception {
        ask(spawn(Adder.create()), 1).toCompletableFuture().get();
        var stopwatch = new Sample.Stopwatch();
        long before = liveBytes();
        var kept = new ArrayList<ActorRef<Adder.Message>>((int) n);
        for (long i = 0; i < n; i++) {
            var actor = spawn(Adder.create());
            ask(actor, 1).toCompletableFuture().get();
            kept.add(actor);
        }
        long bytes = (liveBytes() - before) / n - STATE_BYTES - REFERENCE_BYTES;
        return stopwatch.stop(kept.size()).with("bytes", bytes);
    }

    /** What is alive on the heap; how much of the process is resident says more about the collector. */
    private static long liveBytes() {
        System.gc();
        return ManagementFactory.getMemoryMXBean().getHeapMemoryUsage().getUsed();
    }

    private Sample skynet(long leaves) throws Exception {
        var stopwatch = new Sample.Stopwatch();
        var root = spawn(Tree.create(0, leaves));
        var sum = AskPattern.ask(root, Tree.Sum::new, TIMEOUT, system.scheduler()).toCompletableFuture().get();
        var sample = stopwatch.stop(1);
        if (!sum.equals(new Tree.Part(leaves * (leaves - 1) / 2))) {
            throw new IllegalStateException("the numbers below " + leaves + " do not add up to " + sum);
        }
        return sample;
    }
}
