import java.io.BufferedReader;
import java.io.InputStreamReader;

/**
 * The rig of Pekko (typed actors). It takes the orders that are described in bench/rig/src/protocol.rs from its
 * standard input, and its programs do what those in bench/rig/src/programs do.
 */
public final class Main {
    public static void main(String[] arguments) throws Exception {
        var stage = new Stage();
        var orders = new BufferedReader(new InputStreamReader(System.in));
        for (String line = orders.readLine(); line != null; line = orders.readLine()) {
            String answer;
            try {
                var words = line.trim().split(" +");
                if (words.length != 3 || !words[0].equals("run")) {
                    throw new IllegalArgumentException("an order is `run PROGRAM N`");
                }
                answer = stage.run(words[1], Long.parseLong(words[2])).json();
            } catch (Exception error) {
                answer = "{\"error\":\"" + error.toString().replaceAll("[\"\\\\\\p{Cntrl}]", " ") + "\"}";
            }
            System.out.println(answer);
        }
        stage.system.terminate();
    }
}
