import java.lang.management.ManagementFactory;

/** What a program has cost; `more` is what only some programs tell, as it stands in the JSON. */
record Sample(long operations, long wallNs, long cpuNs, String more) {
    Sample with(String name, long value) {
        return new Sample(operations, wallNs, cpuNs, more + ",\"" + name + "\":" + value);
    }

    String json() {
        var costs = "\"operations\":%d,\"wall_ns\":%d,\"cpu_ns\":%d".formatted(operations, wallNs, cpuNs);
        return "{" + costs + more + "}";
    }

    /** Measures this process, with its compiler and its collector, from when it is made. */
    static final class Stopwatch {
        private final long begun = System.nanoTime();
        private final long cpu = cpuNs();

        Sample stop(long operations) {
            return new Sample(operations, System.nanoTime() - begun, cpuNs() - cpu, "");
        }

        private static long cpuNs() {
            var system = ManagementFactory.getOperatingSystemMXBean();
            return ((com.sun.management.OperatingSystemMXBean) system).getProcessCpuTime();
        }
    }
}
