; SPDX-License-Identifier: Apache-2.0
(defproject tern-jepsen "0.1.0"
  :description "tern under jepsen.tests.kafka"
  :license {:name "Apache-2.0"}
  :main tern.jepsen
  :jvm-opts ["-Djava.awt.headless=true" "-server" "-Xmx8g"]
  :dependencies [[org.clojure/clojure "1.11.3"]
                 [jepsen "0.3.5"]
                 [org.apache.kafka/kafka-clients "3.8.0"]])
