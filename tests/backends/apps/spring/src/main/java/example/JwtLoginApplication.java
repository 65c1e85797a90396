// A resource server that issues its own tokens, in the shape of Spring Security's sample "JWT Login":
// https://github.com/spring-projects/spring-security-samples/tree/main/servlet/spring-boot/java/jwt/login
package example;

import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.interfaces.RSAPublicKey;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.Map;
import java.util.stream.Collectors;

import com.nimbusds.jose.jwk.JWKSet;
import com.nimbusds.jose.jwk.RSAKey;
import com.nimbusds.jose.jwk.source.ImmutableJWKSet;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.config.http.SessionCreationPolicy;
import org.springframework.security.core.Authentication;
import org.springframework.security.core.GrantedAuthority;
import org.springframework.security.core.userdetails.User;
import org.springframework.security.core.userdetails.UserDetailsService;
import org.springframework.security.oauth2.jwt.JwtClaimsSet;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtEncoder;
import org.springframework.security.oauth2.jwt.JwtEncoderParameters;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;
import org.springframework.security.oauth2.jwt.NimbusJwtEncoder;
import org.springframework.security.provisioning.InMemoryUserDetailsManager;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RestController;

@SpringBootApplication
public class JwtLoginApplication {

    private final KeyPair keys = generate();

    public static void main(String[] args) {
        SpringApplication.run(JwtLoginApplication.class, args);
    }

    @Bean
    SecurityFilterChain securityFilterChain(HttpSecurity http) throws Exception {
        return http
            .authorizeHttpRequests((authorize) -> authorize
                .requestMatchers("/jwks").permitAll()
                .anyRequest().authenticated())
            .csrf((csrf) -> csrf.ignoringRequestMatchers("/token"))
            .httpBasic(Customizer.withDefaults())
            .oauth2ResourceServer((oauth2) -> oauth2.jwt(Customizer.withDefaults()))
            .sessionManagement((session) -> session.sessionCreationPolicy(SessionCreationPolicy.STATELESS))
            .build();
    }

    @Bean
    UserDetailsService users() {
        return new InMemoryUserDetailsManager(
            User.withUsername("user").password("{noop}password").authorities("app").build());
    }

    @Bean
    JwtDecoder jwtDecoder() {
        return NimbusJwtDecoder.withPublicKey((RSAPublicKey) this.keys.getPublic()).build();
    }

    @Bean
    JwtEncoder jwtEncoder(RSAKey key) {
        return new NimbusJwtEncoder(new ImmutableJWKSet<>(new JWKSet(key)));
    }

    @Bean
    RSAKey rsaKey() {
        return new RSAKey.Builder((RSAPublicKey) this.keys.getPublic())
            .privateKey(this.keys.getPrivate()).keyID("1").build();
    }

    private static KeyPair generate() {
        try {
            KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
            generator.initialize(2048);
            return generator.generateKeyPair();
        } catch (java.security.NoSuchAlgorithmException ex) {
            throw new IllegalStateException(ex);
        }
    }

    @RestController
    static class TokenController {

        private final JwtEncoder encoder;
        private final RSAKey key;

        TokenController(JwtEncoder encoder, RSAKey key) {
            this.encoder = encoder;
            this.key = key;
        }

        @PostMapping("/token")
        String token(Authentication authentication) {
            Instant now = Instant.now();
            String scope = authentication.getAuthorities().stream()
                .map(GrantedAuthority::getAuthority).collect(Collectors.joining(" "));
            JwtClaimsSet claims = JwtClaimsSet.builder()
                .issuer("self").issuedAt(now).expiresAt(now.plus(1, ChronoUnit.HOURS))
                .subject(authentication.getName()).claim("scope", scope).build();
            return this.encoder.encode(JwtEncoderParameters.from(claims)).getTokenValue();
        }

        @GetMapping("/jwks")
        Map<String, Object> jwks() {
            return new JWKSet(this.key).toJSONObject();
        }
    }

    @RestController
    static class HelloController {

        @GetMapping("/")
        String hello(Authentication authentication) {
            return "Hello, " + authentication.getName() + "!";
        }
    }
}
