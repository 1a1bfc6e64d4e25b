import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.pekko.actor.typed.ActorRef;

/** One actor under many callers; see bench/rig/src/programs/hot.rs. */
final class Hot {
    private static final int CALLERS = 256;

    /** What is known of a call when it has its reply. */
    private record Call(long begun, long waited, int turn, long took) {}

    private Hot() {}

    static Sample run(Stage stage, long n) throws Exception {
        var actor = stage.first(1).get(0);
        long each = (n + CALLERS - 1) / CALLERS;
        var stopwatch = new Sample.Stopwatch();
        stage.callers(CALLERS, each, caller -> stage.ask(actor, 1));
        var sample = stopwatch.stop(each * CALLERS);

        long first = stage.ask(actor, 0).toCompletableFuture().get();
        var numbers = new AtomicLong();
        var calls = new ConcurrentLinkedQueue<Call>();
        stage.callers(CALLERS, each, caller -> watch(stage, actor, first, numbers, calls));
        var watched = List.copyOf(calls);
        return sample.with("p999_ns", p999(watched)).with("overtaken", mostOvertaken(watched));
    }

    private static CompletionStage<Long> watch(
            Stage stage, ActorRef<Adder.Message> actor, long first, AtomicLong numbers, ConcurrentLinkedQueue<Call> calls) {
        long started = System.nanoTime();
        long begun = numbers.incrementAndGet();
        var reply = stage.ask(actor, 1);
        long waited = numbers.incrementAndGet();
        return reply.thenApply(total -> {
            calls.add(new Call(begun, waited, (int) (total - first), System.nanoTime() - started));
            return total;
        });
    }

    private static long p999(List<Call> calls) {
        var took = calls.stream().mapToLong(Call::took).sorted().toArray();
        return took[(int) (took.length * 999L / 1_000)];
    }

    /** From the call that waited last to the first, with the turns of all later calls in a Fenwick tree. */
    private static long mostOvertaken(List<Call> calls) {
        var byBegin = calls.stream().sorted(Comparator.comparingLong(Call::begun).reversed()).toList();
        var waiting = calls.stream().sorted(Comparator.comparingLong(Call::waited).reversed()).toList();
        var later = new int[calls.size() + 1];
        int next = 0;
        int most = 0;
        for (var call : waiting) {
            for (; next < byBegin.size() && byBegin.get(next).begun > call.waited; next++) {
                for (int i = byBegin.get(next).turn; i < later.length; i += i & -i) {
                    later[i]++;
                }
            }
            int before = 0;
            for (int i = call.turn - 1; i > 0; i &= i - 1) {
                before += later[i];
            }
            most = Math.max(most, before);
        }
        return most;
    }
}
